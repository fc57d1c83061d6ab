"""How ``nbgrader autograde`` judges here, as options of ``nbgrader_config.py``, and the session that obeys them."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Float, Integer, Unicode
from traitlets.config import SingletonConfigurable
from traitlets.log import get_logger

from attention_grading.execution.workers import JUDGE_WORKER, NOTEBOOK_WORKER
from attention_grading.judging.seed import course_seed
from attention_grading.nbgrader_plugin.folders import course_folder
from attention_grading.notebooks.grade import Terms
from attention_grading.sandbox.confinement import UNCONFINED
from attention_grading.sandbox.limits import Limits, OutputLimits
from attention_grading.sandbox.warm_server import start_ahead
from attention_lab.notebook.learner_cells import MAX_CODE_CELLS

if TYPE_CHECKING:
    from attention_grading.judging.session import Session


class JudgingRules(SingletonConfigurable):
    """Limits, seed and confinement of the processes that run learners' code."""

    seconds = Float(30.0, help="Wall-clock seconds for judging one submission, and again for its pictures").tag(
        config=True
    )
    memory_mb = Integer(2048, help="Megabytes that one submission may use").tag(config=True)
    output_characters = Integer(40_000, help="Characters of output that one graded notebook keeps").tag(config=True)
    output_pictures = Integer(30, help="Pictures that one graded notebook keeps").tag(config=True)
    code_cells = Integer(
        MAX_CODE_CELLS, min=1, help="Code cells that a notebook may have; one with more gets 0 points"
    ).tag(config=True)
    seed_file = Unicode(
        "",
        help="File with the course's secret seed, drawn at the first grading; empty: the documented public seed",
    ).tag(config=True)
    allow_unconfined = Bool(
        False, help="Run learners' code without confinement where the platform has none. It can then do any harm"
    ).tag(config=True)

    _session: Session | None = None

    def terms(self, coursedir: Any, draw: bool = True) -> Terms:
        """What submissions are judged by; draws the seed at the course's first grading.

        Args:
            coursedir: nbgrader's course directory.
            draw: Whether a seed is drawn; without, an empty one stands for a file that is not there.

        Raises:
            SeedMissing: The seed's file is gone although submissions have been graded.
        """
        path = Path(self.seed_file) if self.seed_file else None
        undrawn = path is not None and not draw and not path.exists()
        graded = course_folder(coursedir, "autograded", ".", ".").glob("*/*/*.ipynb")
        return Terms(
            seed="" if undrawn else course_seed(path, graded),
            limits=Limits(seconds=self.seconds, memory_bytes=self.memory_mb * 2**20),
            output_limits=OutputLimits(self.output_characters, self.output_pictures),
            confined=None if self.allow_unconfined else True,
            code_cells=self.code_cells,
        )

    def session(self, coursedir: Any) -> Session:
        """The one session of this process.

        Args:
            coursedir: nbgrader's course directory.

        Raises:
            SeedMissing: The seed's file is gone although submissions have been graded.
            WorkerFailed: Confinement is not available or failed its self-test, and ``allow_unconfined`` is not set.
        """
        if self._session is None:
            terms = self.terms(coursedir)
            start_ahead(True, JUDGE_WORKER, NOTEBOOK_WORKER)  # beside this process, which imports as long itself
            session = terms.session()
            session.start()
            if not session.confined:
                get_logger().warning(UNCONFINED)  # Formgrader shows the log, and no warnings of Python's
            atexit.register(session.close)
            self._session = session
        return self._session
