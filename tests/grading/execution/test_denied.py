"""A submission that reached for what it must not have gets a line, and an honest one gets none."""

from __future__ import annotations

import pytest

from support.answers import RIGHT

pytestmark = [pytest.mark.process, pytest.mark.needs("confinement")]


def notes(session, write, source: str) -> list[str]:
    verdict = session.judge_file("eager_causal", write("answer.py", source))
    assert verdict.score == 10, verdict
    return list(verdict.notes)


def quietly(attempt: str) -> str:
    return f"try:\n    {attempt}\nexcept BaseException:\n    pass\n"


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        ("open('/etc/passwd')", "open /etc/passwd"),
        ("__import__('pathlib').Path('/etc/passwd').read_text()", "open /etc/passwd"),
        ("open('/answers.txt', 'w')", "open /answers.txt"),
        ("__import__('os').listdir('/home')", "list /home"),
        ("__import__('socket').create_connection(('127.0.0.1', 80), 1)", "open a socket"),
        ("__import__('subprocess').run(['true'])", "start another program"),
        ("__import__('os').fork()", "start another program"),
        ("__import__('os').kill(1, 9)", "send a signal"),
    ],
)
def test_what_was_tried_and_denied_is_told_though_the_code_hides_it(session, write, attempt, words):
    (line,) = notes(session, write, quietly(attempt) + RIGHT)
    assert line == f"its code tried to {words}, and was denied"


def test_what_the_function_tries_is_told_once(session, write):
    inside = RIGHT.replace("mask=None):\n", "mask=None):\n    try: open('/etc/passwd')\n    except OSError: pass\n", 1)
    assert notes(session, write, inside) == ["its code tried to open /etc/passwd, and was denied"]


def test_many_attempts_make_few_lines(session, write):
    source = "".join(quietly(f"open('/etc/passwd{number}', 'w')") for number in range(50))
    assert 0 < len(notes(session, write, source + RIGHT)) <= 6


def test_honest_code_gets_no_line(session, write):
    harmless = (
        "import json, pathlib, matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.close()\n"
        "data = open(json.__file__).read()\n"
        + quietly("open('my_data.csv')")
        + quietly("pathlib.Path('x.json').read_text()")
    )
    assert notes(session, write, harmless + RIGHT) == []
