"""The page at `/` in a headless Chromium, under its content security policy (so nothing is evaluated in it): both models answer, streamed,
side by side; a question after that, a stop, a new conversation. Leaves a screenshot of the first answers.

usage: page.py MODEL ADAPTER SCREENSHOT.png [QUESTION]      (needs playwright; CHROMIUM names the browser, /usr/bin/chromium else)
"""

import os
import sys

from playwright.sync_api import sync_playwright
from serving import Checks, Server

check = Checks()
model, adapter, picture = sys.argv[1:4]
question = sys.argv[4] if len(sys.argv) > 4 else "Classify this support ticket: I want to cancel my account immediately"


def talk(page, side):
    return page.locator("section").nth(side).locator(".talk div")


def finished(page):
    """Waits for the end of both answers; how long their texts were on the way."""
    lengths = [set(), set()]
    while not page.locator("button[name=send]").is_enabled():
        for side in (0, 1):
            lengths[side].add(len(page.locator("section").nth(side).inner_text()))
    return lengths


def main():
    with sync_playwright() as driver, Server(
        model, "--adapter", f"tuned={adapter}", "--served-model-name", "base", "--quiet", env={"ATTUNE_API_KEY": "secret"}
    ) as server:
        browser = driver.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": 1100, "height": 760}, http_credentials={"username": "", "password": "secret"})
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(server.url + "/")
        page.locator("section").nth(1).locator("option").nth(1).wait_for(state="attached", timeout=60_000)
        check([page.locator("select").nth(side).input_value() for side in (0, 1)] == ["base", "tuned"], "base beside tuned")
        page.fill("textarea", question)
        page.keyboard.press("Enter")
        lengths = finished(page)
        page.screenshot(path=picture)
        answers = [talk(page, side).nth(1).inner_text() for side in (0, 1)]
        print(*[f"{name}: {answer!r}" for name, answer in zip(("base", "tuned"), answers)], sep="\n")
        check(all(answers) and answers[0] != answers[1], "both answered, and not the same")
        check(all(len(seen) > 3 for seen in lengths), f"the answers grew as they came: {lengths}")
        check("tokens in" in page.locator(".note").nth(1).inner_text(), "tokens and times are told")
        page.fill("textarea", "And now?")
        page.click("button[name=send]")
        finished(page)
        check(talk(page, 0).count() == 4, "a second question")
        page.fill("input[name=tokens]", "900")
        page.fill("textarea", "Tell me a long story")
        page.click("button[name=send]")
        page.click("button[name=stop]")
        finished(page)
        check(talk(page, 0).count() == 6, "stopped")
        page.fill("textarea", "Again")
        page.click("button[name=send]")
        page.click("button[name=clear]")
        finished(page)
        check(talk(page, 0).count() == 0, "a new conversation is empty")
        page.set_viewport_size({"width": 380, "height": 700})
        boxes = [page.locator("section").nth(side).bounding_box() for side in (0, 1)]
        check(all(box["x"] >= 0 and box["x"] + box["width"] <= 380 for box in boxes), f"it fits a narrow window: {boxes}")
        check(not problems, f"no errors: {problems}")
        browser.close()
        check(server.stop() == 0, "a stop is a success")
    return check.report()


if __name__ == "__main__":
    sys.exit(main())
