// SPDX-License-Identifier: Apache-2.0
/* The icons that are used, by what they mean here. One import per icon: the rest stays out of the bundle. */
import {
  Box, Brain, ChartColumn, Check, ChevronDown, ChevronLeft, ChevronRight, ChevronUp, Circle,
  CircleCheck, CircleDashed, CircleQuestionMark, CircleSlash, CircleX, Clock, CodeXml, Columns3,
  Copy, Cpu, Download, EllipsisVertical, ExternalLink, Eye, EyeOff, FileBox, Filter, HardDrive,
  History, Hourglass, Image, Info, KeyRound, Keyboard, Languages, Layers, LayoutGrid, LibraryBig,
  Link, LoaderCircle, LogOut, Menu, MessageSquare, Minus, Moon, PanelLeftClose, PanelLeftOpen, Pause,
  Pencil, Play, Plus, RefreshCw, Rocket, RotateCw, Save, Scale, ScrollText, Search, Send, Server,
  Settings, SlidersHorizontal, Split, Square, Star, Sun, SunMoon, Tag, Terminal, Thermometer,
  Trash2, TriangleAlert, Undo2, Upload, User, Users, WifiOff, WrapText, Wrench, X, Zap,
} from "lucide";

export const icons = {
  add: Plus, alert: TriangleAlert, back: ChevronLeft, brain: Brain, catalog: LibraryBig,
  chat: MessageSquare, check: Check, clock: Clock, close: X, code: CodeXml, columns: Columns3,
  copy: Copy, dark: Moon, deploy: Rocket, device: Cpu, disk: HardDrive, done: CircleCheck,
  down: ChevronDown, download: Download, edit: Pencil, external: ExternalLink, eye: Eye,
  eyeOff: EyeOff, failed: CircleX, file: FileBox, filter: Filter, help: CircleQuestionMark,
  history: History, hourglass: Hourglass, idle: CircleDashed, image: Image, info: Info,
  key: KeyRound, keyboard: Keyboard, language: Languages, layers: Layers, light: Sun, link: Link,
  logout: LogOut, logs: ScrollText, menu: Menu, minus: Minus, model: Box, more: EllipsisVertical,
  narrow: PanelLeftClose, off: CircleSlash, offline: WifiOff, overview: LayoutGrid, pause: Pause,
  play: Play, power: Zap, refresh: RefreshCw, retry: RotateCw, ring: Circle, route: Split,
  save: Save, scale: Scale, search: Search, send: Send, settings: Settings,
  sliders: SlidersHorizontal, star: Star, stop: Square, system: SunMoon, tag: Tag,
  terminal: Terminal, thermometer: Thermometer, trash: Trash2, undo: Undo2, up: ChevronUp,
  next: ChevronRight, upload: Upload, usage: ChartColumn, user: Users, person: User,
  wait: LoaderCircle, wide: PanelLeftOpen, worker: Server, wrap: WrapText, wrench: Wrench,
} as const;

export type IconName = keyof typeof icons;
