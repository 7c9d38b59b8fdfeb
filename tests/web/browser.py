"""Chromium without a window, and what every page of ours must be, whoever serves it.

    with Browser() as browser:
        browser.open(url)
        assert not browser.complaints() and not browser.strangers(url)

Waits are conditions with a deadline; nothing sleeps.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
import zipfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE_S = 30  # two busy cores are slow
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    "--hide-scrollbars", "--no-default-browser-check",
]
DESKTOP = (1440, 900)
PHONE = (360, 740)

# Before any script of the page: what the policy refuses is kept, with where it was asked for.
WATCH = """
window.refusals = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.refusals.push(`${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
"""

RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then((found) => done(found.violations.map((v) =>
  `${v.id}: ${v.help}: ` + v.nodes.slice(0, 5).map((n) => `${n.target} ${n.failureSummary}`).join(" | "))),
  (error) => done([String(error)]));
"""


def axe_script():
    jar = subprocess.run([HERE / "fetch.sh"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    with zipfile.ZipFile(jar) as archive:
        [name] = [n for n in archive.namelist() if n.endswith("/axe.min.js")]
        return archive.read(name).decode()


class Browser:
    def __init__(self, size=DESKTOP):
        self.folder = tempfile.mkdtemp(prefix="freshet-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS, f"--user-data-dir={self.folder}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        try:
            self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        except Exception:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.driver.set_script_timeout(2 * DEADLINE_S)
        self.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.forget()  # what the browser's own first page asked for
        self.resize(size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, what, condition, deadline_s=DEADLINE_S):
        return WebDriverWait(self.driver, deadline_s, 0.05).until(lambda _: condition(), f"{what}: not within {deadline_s} s")

    # -- the page's surroundings --------------------------------------------------------------------------------------

    def resize(self, size):
        width, height = size
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def prefer(self, theme, motion="no-preference"):
        features = [{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": motion}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def open(self, url):
        self.driver.get(url)
        self.wait("the first answer shown", lambda: self.run("return document.querySelectorAll('.answer').length === 4"))
        self.settle()

    def settle(self):
        """Until everything asked for by now is painted."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    # -- what the page does -------------------------------------------------------------------------------------------

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector)

    def attribute(self, selector, name):
        return self.run("return document.querySelector(arguments[0])?.getAttribute(arguments[1])", selector, name)

    def complaints(self):
        """Warnings and errors on the console since forget(), and what the content policy refused on this page."""
        self.messages += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
        return self.messages + self.run("return window.refusals ?? []")

    def forget(self):
        """What was complained of and asked for so far: an earlier test's."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.messages, self.requests = [], []

    def strangers(self, url):
        """Requests to anybody but `url` since forget()."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        own = (url, "data:", "about:", "blob:")
        return [asked for asked in self.requests if not asked.startswith(own)]

    def overhang(self):
        """How many pixels wider than the window the page is, and which elements stick out."""
        return self.run("""
            const width = document.documentElement.clientWidth;
            const inside = (e) => e.closest(".scroll, .visually-hidden, .skip, thead") !== null;
            const out = [...document.body.querySelectorAll("*")].filter((e) => !inside(e) && e.getBoundingClientRect().right > width + 1);
            return [document.documentElement.scrollWidth - width, out.slice(0, 5).map((e) => `${e.tagName}.${e.className}`)];
        """)

    def axe(self):
        """Each violation that axe-core finds, in words. Call it last: axe is a script in the page."""
        if not self.run("return Boolean(window.axe)"):
            self.run(axe_script())
        return self.driver.execute_async_script(RUN_AXE)

    def picture(self):
        return self.driver.get_screenshot_as_png()
