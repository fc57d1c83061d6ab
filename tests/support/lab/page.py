"""JupyterLab in the browser: what the tests do there, and what they see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

from support.lab.server import LabServer

WIDTH, HEIGHT = 1280, 900
SECONDS = 60
ERROR = "application/vnd.jupyter.stderr"  # what JupyterLab shows an error as

# Playwright lets a script in the page run for ever: a kernel that died must not hold up the tests
IN_TIME = f"""(promise, what) => Promise.race([
  promise,
  new Promise((_, no) => setTimeout(() => no(new Error(what + ' took more than {SECONDS} s')), {SECONDS * 1000})),
])"""
OPEN = """async path => {
  const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
  await panel.context.ready;
  await panel.revealed;
  await (IN_TIME)(panel.sessionContext.ready, 'the kernel');
  for (const cell of panel.content.widgets) cell.node.dataset.cellId = cell.model.id;
}""".replace("IN_TIME", IN_TIME)
# Asked of the notebook itself: the toolbar's sign of it is folded away where the window is narrow
IDLE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const waiting = [...panel.node.querySelectorAll('.jp-InputPrompt')].some(each => each.textContent.includes('*'));
  return !waiting && panel.sessionContext?.session?.kernel?.status === 'idle';
}"""
EXECUTE = """async ([command, options]) => {
  await (IN_TIME)(window.jupyterapp.commands.execute(command, options), command);
}""".replace("IN_TIME", IN_TIME)
RESTART = "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart() }"
# What is wider than its place, by cell: prose with its tables, outputs, code. The setup cell holds an address that is
# longer than any window, and is there to be run.
TOO_WIDE = """() => {
  const found = [];
  for (const cell of document.querySelectorAll('[data-cell-id]'))
    for (const part of cell.querySelectorAll('.jp-MarkdownOutput, .jp-OutputArea-output, .cm-scroller'))
      if (part.scrollWidth > part.clientWidth + 1 && !(cell.dataset.cellId === 'setup' && part.matches('.cm-scroller')))
        found.push(`${cell.dataset.cellId}: ${part.className}, ${part.scrollWidth} > ${part.clientWidth}`);
  return found;
}"""

# how high the window must be to show the notebook from its first to its last cell
WHOLE_HEIGHT = """() => {
  const notebook = document.querySelector(`.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer`);
  const cells = [...notebook.querySelectorAll('.jp-Cell')].map(cell => cell.getBoundingClientRect());
  const around = window.innerHeight - notebook.clientHeight;
  return Math.ceil(cells.at(-1).bottom - cells[0].top + around + 40);
}"""
TO_THE_TOP = "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer').scrollTop = 0"


@contextmanager
def visiting(browser: Browser, server: LabServer, shots: Path) -> Iterator[LabPage]:
    """Open JupyterLab in a fresh page; at the end nothing may have been complained about, and its kernels stop."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(SECONDS * 1000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    # no other server is reached: a page that would wait for one must do without
    context.route(lambda address: not address.startswith(server.address), lambda route: route.abort())
    lab = LabPage(context.new_page(), server, shots)
    lab.start()
    yield lab
    lab.page.evaluate("0")  # brings what was complained about and is still on its way
    # before the kernels stop: JupyterLab complains of what it asks them at that moment
    complaints = list(lab.complaints)
    lab.leave()
    assert complaints == [], complaints


class LabPage:
    """One browser page with JupyterLab, its notebook and its complaints.

    Args:
        page: A fresh page of the browser.
        server: The running JupyterLab.
        shots: Folder for the screenshots.
    """

    def __init__(self, page: Page, server: LabServer, shots: Path) -> None:
        self.page = page
        self.server = server
        self.shots = shots
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # what lies on other servers is out of reach here, and so no fault of the page
        if message.type == "error" and message.location["url"].startswith(self.server.address):
            self.complaints.append(message.text)

    def start(self) -> None:
        """Open the address that ``make lab`` opens, and wait for JupyterLab."""
        self.page.goto(f"{self.server.address}?token={self.server.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.page.evaluate("async () => { await window.jupyterapp.restored }")
        self.page.locator("#jp-main-dock-panel").wait_for()
        if "/tree/" in self.page.url:  # the page that it names comes later, and to the front
            self.page.locator(".jp-MarkdownViewer").wait_for()

    def leave(self) -> None:
        """Stop the kernels, close the page, and forget what was open: the next visitor starts afresh."""
        self.page.evaluate("async () => { await window.jupyterapp.serviceManager.sessions.shutdownAll() }")
        self.page.close()
        self.page.context.request.delete(
            f"{self.server.address}lab/api/workspaces/default", headers={"Authorization": f"token {self.server.token}"}
        )
        self.page.context.close()

    def commands(self) -> list[str]:
        """The names of all commands that JupyterLab has."""
        return self.page.evaluate("window.jupyterapp.commands.listCommands()")

    def execute(self, command: str, **options: object) -> None:
        """Run one of JupyterLab's commands to its end."""
        self.page.evaluate(EXECUTE, [command, options])

    def open(self, path: str) -> None:
        """Open a notebook and wait until its kernel is there."""
        self.page.evaluate(OPEN, path)
        self.wait_for_idle()

    def follow(self, link: Locator, stem: str) -> None:
        """Click on a link to a notebook, and wait until it has a kernel."""
        link.first.click()
        self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").first.wait_for()
        path = self.page.evaluate("window.jupyterapp.shell.currentWidget.context.path")
        assert Path(path).stem == stem
        self.open(path)

    def run_all(self) -> None:
        """Run all cells and wait for the last."""
        self.execute("notebook:run-all-cells")
        self.wait_for_idle()

    def run_cell(self, cell_id: str) -> None:
        """Run one cell and wait for it."""
        self.cell(cell_id).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        self.wait_for_idle()

    def restart(self) -> None:
        """Restart the notebook's kernel, and wait until the new one is there."""
        self.page.evaluate(RESTART)
        self.wait_for_idle()

    def wait_for_idle(self) -> None:
        """Wait until the notebook's kernel has nothing to do."""
        self.page.wait_for_function(IDLE)

    def cell(self, cell_id: str) -> Locator:
        """A cell of the notebook."""
        return self.page.locator(f'.jp-NotebookPanel:not(.lm-mod-hidden) [data-cell-id="{cell_id}"]')

    def outputs(self, cell_id: str) -> Locator:
        """A cell's outputs."""
        return self.cell(cell_id).locator(".jp-OutputArea-output")

    def error_lines(self, cell_id: str) -> list[str]:
        """The lines of a cell's one error."""
        errors = self.cell(cell_id).locator(f'.jp-OutputArea-output[data-mime-type="{ERROR}"]')
        return errors.inner_text().rstrip("\n").split("\n")

    def pictures(self, cell_id: str) -> int:
        """How many pictures a cell shows."""
        return self.outputs(cell_id).locator("img").count()

    def alt_text(self, cell_id: str) -> str:
        """What a screen reader says in place of a cell's one picture."""
        return self.outputs(cell_id).locator("img").get_attribute("alt") or ""

    def was_run(self, cell_id: str) -> bool:
        """Whether a code cell carries its execution's number."""
        return any(letter.isdigit() for letter in self.cell(cell_id).locator(".jp-InputPrompt").inner_text())

    def write(self, cell_id: str, text: str) -> None:
        """Paste a text over everything in a code cell, as a student does."""
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.cell(cell_id).locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.press("Control+V")

    def set_theme(self, name: str) -> None:
        """Choose one of JupyterLab's themes and wait until it is there."""
        self.execute("apputils:change-theme", theme=name)
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")

    def too_wide(self) -> list[str]:
        """What does not fit into its place without scrolling sideways."""
        return self.page.evaluate(TOO_WIDE)

    def shoot(self, name: str) -> None:
        """Keep a picture of the window."""
        self.page.screenshot(path=self.shots / f"{name}.png", animations="disabled")

    def shoot_widths(self, name: str) -> None:
        """Keep pictures of a narrow window and of a wide one; in the wide one everything fits."""
        before = self.page.viewport_size or {"width": WIDTH, "height": HEIGHT}
        for width in (1000, 1400):
            self.page.set_viewport_size(before | {"width": width})
            self.shoot(f"{name}_{width}")
        assert self.too_wide() == []
        self.page.set_viewport_size(before)

    def shoot_notebook(self, name: str) -> None:
        """Keep a picture of the whole notebook, in a window as high as it."""
        before = self.page.viewport_size or {"width": WIDTH, "height": HEIGHT}
        self.page.set_viewport_size(before | {"height": self.page.evaluate(WHOLE_HEIGHT)})
        self.page.evaluate(TO_THE_TOP)
        self.shoot(name)
        self.page.set_viewport_size(before)

    def show(self, path: str, name: str) -> str:
        """Open a file of the course root outside JupyterLab, keep a picture of it all, and return its visible text."""
        page = self.page.context.new_page()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.goto(f"{self.server.address}files/{path}", referer=f"{self.server.address}lab")
        page.screenshot(path=self.shots / f"{name}.png", full_page=True)
        text = page.locator("body").inner_text()
        page.close()
        return text
