/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scripted engine does with a request: words "key=value" with spaces between. They come,
 * the later ones over the earlier, from the command line (--default), POST /script/default, the
 * body's top-level member "script", the header X-Script, POST /script/next. Each names only what
 * it changes. A script that can't be read is answered with 400 and what is wrong with it.
 *
 *   the response
 *     status=N            200. From 400 on: a JSON error, never a stream
 *     error=TEXT          its message: one word
 *     retry_after=TEXT    adds the header
 *     type=TEXT           another Content-Type
 *     stream=0|1          not as the body's "stream" says
 *     file=PATH           the body is this file's content; events are split at empty lines
 *     size=N              the body is N bytes of no meaning; for audio and large responses
 *     chunks=N            16. Events with content, or tokens of a response that is no stream; the
 *                         request's max_tokens or the like makes it less
 *     bytes=N             4. Bytes of content of each
 *     reasoning=N         so many of them are "reasoning_content"
 *     done=0              no [DONE], no message_stop
 *     finish=0            no event with finish_reason (nor what else says that it is over)
 *     error_at=K          instead of content event K an error event; then the stream ends
 *     comments=N          an SSE comment before every Nth event
 *     crlf=1              events with CRLF line ends
 *   tokens
 *     prompt=N cached=N   10, 0. Told as they are
 *     completion=N        told instead of the number of content events
 *     usage=SHAPE         openai   as each API has it; in a chat stream only when asked for
 *                         always   in a chat stream also when nobody asked for it
 *                         each     on every event (continuous_usage_stats)
 *                         null     "usage":null on every event, then as openai
 *                         finish   in the event with finish_reason (MindIE and others)
 *                         vllm     as openai, with prompt_tokens_details
 *                         llama    as openai, with timings; /completion has its own names
 *                         tei      only prompt_tokens and total_tokens; of rerank: a header
 *                         total    only total_tokens
 *                         cohere   meta.billed_units
 *                         none
 *   time, in milliseconds with up to three decimals
 *     head_ms=T           before the head
 *     first_ms=T          between the head and the first event, or the body
 *     delay_ms=T          between events
 *     align_ms=T          events leave at multiples of T of CLOCK_MONOTONIC, those of all streams
 *                         together, as an engine's steps do; instead of delay_ms
 *     trickle=N           N bytes a write, each in a turn of its own,
 *     trickle_ms=T        and so far apart
 *   faults
 *     stall=POINT         nothing more from there on; the connection stays
 *     cut=POINT           the connection ends there. POINT is head:K or body:K, after K bytes of
 *                         it, or chunk:K, before event K; alone head:0, body:0, chunk:0
 *     by=fin|rst          how it ends
 *     garbage=N           N bytes of no meaning instead of a response, then the end
 *     interim=N           so many interim responses first,
 *     interim_status=N    of this status; 103
 *     headers=N           so many further headers
 *     header_bytes=N      one more of this size
 *     framing=F           length (of a stream: 0), chunked, close (to the connection's end), auto
 *     length=N            Content-Length is N more (or less, when negative) than the body
 *     bad_chunk=K         the size of chunk K (of the transfer coding) is no number
 *     read=N              no more of the request's body is read after N bytes; -1: all. These
 *     early=1             the response doesn't wait for the request's body; and
 *     look=0              the body isn't kept, hashed or looked at, for speed: not in a body
 *   the connection
 *     close=say|silent|0  after the response; silent: without a word in its head
 *     idle_ms=T           it is closed after so long without a request
 *     idle_permille=N     and only so many of 1,000 are, after a random part of idle_ms
 *   the process, in a default only
 *     health=N            status of /health; 200
 *     accept=rst|fin|1    connections are ended at once
 *     messages=1          there is /v1/messages
 *     responses=0         there is no /v1/responses
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum usage_shape {
    USAGE_OPENAI,
    USAGE_ALWAYS,
    USAGE_EACH,
    USAGE_NULL,
    USAGE_FINISH,
    USAGE_VLLM,
    USAGE_LLAMA,
    USAGE_TEI,
    USAGE_TOTAL,
    USAGE_COHERE,
    USAGE_NONE,
};

enum framing { FRAMING_AUTO, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };
enum place { PLACE_NONE, PLACE_HEAD, PLACE_BODY, PLACE_CHUNK };
enum closing { CLOSING_NO, CLOSING_SAY, CLOSING_SILENT };
enum how { HOW_FIN, HOW_RST };
enum accepting { ACCEPT_YES, ACCEPT_FIN, ACCEPT_RST };

struct point {
    enum place place;
    int64_t at;
};

/* Members are named as their keys; times are in nanoseconds. */
struct script {
    int64_t status;
    char error[128], retry_after[64], type[128], file[512];
    int64_t stream; /* -1: as the body says */
    int64_t size;   /* -1: not set */
    int64_t chunks, bytes, reasoning;
    int64_t done, finish;
    int64_t error_at; /* -1: none */
    int64_t comments, crlf;
    int64_t prompt, cached;
    int64_t completion; /* -1: the truth */
    int64_t usage;      /* enum usage_shape */
    int64_t head_ns, first_ns, delay_ns, align_ns;
    int64_t trickle, trickle_ns;
    struct point stall, cut;
    int64_t by; /* enum how */
    int64_t garbage, interim, interim_status, headers, header_bytes;
    int64_t framing; /* enum framing */
    int64_t length;
    int64_t bad_chunk; /* -1: none */
    int64_t read;      /* -1: all */
    int64_t early, look;
    int64_t close; /* enum closing */
    int64_t idle_ns, idle_permille;
    int64_t health, accept, messages, responses;
};

/* What nothing was said about. */
extern const struct script script_initial;

/* Takes over what `text` names. ERR_INVALID names the word that is wrong; earlier ones count. */
int script_read(struct str text, struct script *script, struct err *err) must_check;
