# SPDX-License-Identifier: Apache-2.0
"""Talking to a model: what an answer may do to the page, what stays, and code with a key."""

import json

from playwright.sync_api import expect

import harness

HOSTILE = r"""<script>document.title = "taken"</script>

<img src=x onerror="document.title = 'taken'">

[run](javascript:alert(1)) [own](/auth/logout) [out](https://example.org/x)
![far](https://example.org/x.png)
<b onclick="alert(1)" style="color:red">plain</b> <a href="javascript:alert(1)">raw</a>

| a | b |
|---|---:|
| 1 | 2 |

Euler: $e^{i\pi}$ and $$\frac{1}{2}$$

```python
print("<b>")
```
"""


def stream(*pieces, finish="stop"):
    """Body of a streamed answer."""
    events = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
              for piece in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    events.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 42}})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def say(page, text):
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill(text)
    box.press("Enter")


def answered(page, count=1):
    expect(page.get_by_role("button", name="Answer again")).to_have_count(count)


def answers(page, body):
    page.route("**/v1/chat/completions", lambda route: route.fulfill(
        status=200, content_type="text/event-stream", body=body))


def test_a_real_model_answers(admin, park):
    admin.goto(f"{park.url}/playground?model=hello")
    expect(admin.get_by_role("textbox", name="Message", exact=True)).to_be_focused()
    say(admin, "Who are you?")
    answered(admin)
    expect(admin.get_by_role("log")).to_contain_text("I am the gpustack demo model")
    expect(admin.get_by_role("log")).to_contain_text("first token after")
    admin.reload()
    expect(admin.get_by_role("log")).to_contain_text("I am the gpustack demo model")


def test_an_answer_is_shown_and_does_nothing(admin, park):
    # That nothing is fetched from elsewhere and the policy isn't broken, open_page sees.
    answers(admin, stream(*HOSTILE))
    admin.goto(f"{park.url}/playground?model=hello")
    say(admin, "Go")
    answered(admin)
    said = admin.locator(".markdown").last
    expect(said.locator("math")).to_have_count(2)
    expect(said.locator("math[display=block]")).to_have_count(1)
    expect(said.locator("td[align=right]")).to_have_count(1)
    expect(said.locator(".hljs-string")).to_have_text('"<b>"')
    out = said.get_by_role("link", name="out")
    expect(out).to_have_attribute("rel", "noopener noreferrer")
    expect(out).to_have_attribute("target", "_blank")
    bad = "a[href^=javascript], a[href^='/'], script, img, [style], [onclick]"
    expect(said.locator(bad)).to_have_count(0)
    assert "taken" not in admin.title()


def test_thinking_is_folded_and_the_end_has_words(admin, park):
    answers(admin, stream("<th", "ink>let me", " see</thi", "nk>", "Yes", finish="length"))
    admin.goto(f"{park.url}/playground?model=hello")
    say(admin, "Go")
    answered(admin)
    log = admin.get_by_role("log")
    expect(log.locator(".markdown")).to_have_text("Yes")
    expect(log.get_by_text("let me see")).to_be_hidden()
    log.get_by_text("Thought for").click()
    expect(log.get_by_text("let me see")).to_be_visible()
    expect(log).to_contain_text("42 tokens (prompt: 7)")
    expect(log).to_contain_text("cut off")


def test_an_error_says_what_and_is_tried_again(admin, park):
    admin.route("**/v1/chat/completions", lambda route: route.fulfill(
        status=429, content_type="application/json",
        body=json.dumps({"error": {"message": "5 requests per minute are used up"}})))
    admin.goto(f"{park.url}/playground?model=hello")
    say(admin, "Go")
    expect(admin.get_by_role("alert")).to_contain_text("5 requests per minute are used up")
    admin.unroute("**/v1/chat/completions")
    admin.get_by_role("button", name="Try again").click()
    answered(admin)
    expect(admin.get_by_role("alert")).to_have_count(0)


def test_code_has_a_key_that_works(admin, park):
    admin.goto(f"{park.url}/playground?model=hello")
    admin.get_by_role("textbox", name="Message", exact=True).fill("It's me")
    admin.get_by_role("button", name="View code").click()
    code = admin.get_by_role("dialog").locator("pre")
    expect(code).to_contain_text("$GPUSTACK_API_KEY")
    admin.get_by_role("button", name="Make a key").click()
    admin.get_by_role("button", name="Make a key").last.click()
    expect(code).to_contain_text("Bearer gpustack_")
    key = code.inner_text().partition("Bearer ")[2].partition('"')[0]
    harness.wait_for(lambda: park.http(key).get("/v1/models").status == 200, 5, "the key works")
    park.http(key).get("/v2/users/me").expect(403)
