"""Uses the page as people do, in Chromium: with and without scripts, by keys alone, on a phone and a desk, in light
and in dark. Ends with an error at the first thing that is wrong.

    drive.py check OPEN LOCKED FOLDER   walks through a service, and looks at one that asks for tokens
    drive.py picture OPEN FILE          takes the picture for the README
"""

import base64
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

# What never comes is told late; what comes late is not told to be wrong.
expect.set_options(timeout=30_000)

ROOT = Path(__file__).parents[2]
AXE = ROOT / "target/browser/node_modules/axe-core/axe.min.js"
PHONE, DESK, NARROWEST = 360, 1280, 320


class Visitor:
    """One browser window that writes down what goes wrong in it."""

    def __init__(self, browser, base, folder, *, width, scheme, scripts=True):
        self.base, self.folder, self.scripts = base, folder, scripts
        self.name = f"{width}-{scheme}{'' if scripts else '-no-scripts'}"
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=scripts,
            locale="en-US",
        )
        self.page = self.context.new_page()
        self.tools = self.context.new_cdp_session(self.page)
        self.wrong, self.sent = [], []
        self.page.on("request", self.note_request)
        self.page.on("console", self.note_message)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def note_request(self, request):
        self.sent.append(request.method)
        if not request.url.startswith((self.base, "data:")):
            self.wrong.append(f"asked another host: {request.url}")

    def note_message(self, message):
        # Chromium says so of every refusal, which the walk looks for.
        if "the server responded with a status of 40" not in message.text:
            self.wrong.append(f"console: {message.text}")

    def visit(self, path="/"):
        self.page.goto(self.base + path)

    def look(self, step):
        """Judges what is shown now, and keeps a picture of it."""
        self.page.screenshot(path=self.folder / f"{self.name}-{step}.png", full_page=True)
        # Twice: as wide as the window is, and as narrow as WCAG 2.2 asks for in 1.4.10.
        size = self.page.viewport_size
        for width in (size["width"], NARROWEST):
            self.page.set_viewport_size({**size, "width": width})
            content = self.tools.send("Page.getLayoutMetrics")["cssContentSize"]["width"]
            assert content <= width, f"{self.name} {step}: {content} px wide in {width}"
        self.page.set_viewport_size(size)
        # Where no script runs, the judge's doesn't either; the page has none, so it is the same page.
        if self.scripts:
            self.judge(step)
        assert not self.wrong, f"{self.name} {step}: {self.wrong}"

    def judge(self, step):
        # By the debugger, which the page's policy doesn't bind: it stays in force for the page.
        self.evaluate(AXE.read_text())
        options = '{runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}'
        found = self.evaluate(f"axe.run(document, {options}).then(r => JSON.stringify(r.violations))")
        assert found["value"] == "[]", f"{self.name} {step}: {found['value']}"

    def evaluate(self, expression):
        answer = self.tools.send(
            "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True}
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"]


def walk(visitor, name):
    """Saves, is refused, is greeted, and looks at the list."""
    page = visitor.page
    visitor.visit()
    visitor.look("start")

    page.get_by_label("Name").nth(1).fill(name)
    page.get_by_label("Date of birth").fill("1990-06-15")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{visitor.base}/?name={name}")
    expect(page.get_by_role("status")).to_contain_text(f"Hello, {name}! Your birthday is in 204 day(s)")
    visitor.look("saved")
    page.reload()
    assert visitor.sent.count("POST") == 1, "a reload saves nothing again"

    page.get_by_label("Name").nth(1).fill("R2D2")
    page.get_by_label("Date of birth").fill("1991-01-02")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title("Not saved – Hello, birthday")
    username = page.get_by_label("Name").nth(1)
    expect(username).to_have_value("R2D2")
    expect(username).to_be_focused()
    expect(username).to_have_accessible_description("the username must contain only letters (accents and vowel signs may follow a letter)")
    expect(page.get_by_label("Date of birth")).to_have_value("1991-01-02")
    visitor.look("refused")

    page.get_by_label("Name").first.fill("Nobody")
    page.get_by_role("button", name="Greet").click()
    expect(page.get_by_text("No birthday is saved for that name")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text("in 204 days")
    visitor.look("unknown")


def walk_by_keys(visitor, name):
    """The same without a pointer."""
    page, press = visitor.page, visitor.page.keyboard.press
    visitor.visit()
    for key in ("Tab", "Tab", "Tab"):
        press(key)
    expect(page.get_by_label("Name").nth(1)).to_be_focused()
    page.keyboard.type(name)
    press("Tab")
    page.keyboard.type("06151990")
    press("Enter")
    expect(page.get_by_role("status")).to_contain_text(name)
    press("Tab")
    expect(page.get_by_label("Name").first).to_be_focused()
    page.keyboard.type("Zed")
    press("Enter")
    expect(page).to_have_title("Not greeted – Hello, birthday")
    visitor.look("keys")


def check(browser, base, locked, folder):
    number = 0
    for width in (PHONE, DESK):
        for scheme in ("light", "dark"):
            for scripts in (True, False):
                visitor = Visitor(browser, base, folder, width=width, scheme=scheme, scripts=scripts)
                walk(visitor, f"Someone{'abcdefgh'[number]}")
                number += 1
                visitor.context.close()
            visitor = Visitor(browser, locked, folder, width=width, scheme=scheme)
            visitor.visit("/?name=Someone")
            visitor.look("locked")
    walk_by_keys(Visitor(browser, base, folder, width=DESK, scheme="light"), "Keys")


def picture(browser, base, file):
    """Light and dark, side by side."""
    shots = []
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 620, "height": 920}, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{base}/?name=Anna")
        shots.append(base64.b64encode(page.screenshot()).decode())
    both = browser.new_page(viewport={"width": 1240, "height": 920})
    images = "".join(f'<img src="data:image/png;base64,{shot}" width=620>' for shot in shots)
    both.set_content(f'<body style="margin:0;display:flex">{images}')
    tools = both.context.new_cdp_session(both)
    shot = tools.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    Path(file).write_bytes(base64.b64decode(shot["data"]))


with sync_playwright() as playwright:
    # Without a sandbox, since tests in containers run as root; it only meets our own page.
    chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    match sys.argv[1:]:
        case ["check", base, locked, folder]:
            check(chromium, base, locked, Path(folder))
        case ["picture", base, file]:
            picture(chromium, base, file)
        case _:
            sys.exit(__doc__)
    chromium.close()
