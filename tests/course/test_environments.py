"""The conda environments."""

from __future__ import annotations

import re
import tomllib

import yaml

from support.places import ROOT


def test_conda_environments_hold_what_the_packages_declare():
    kit = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    grading = tomllib.loads((ROOT / "grading" / "pyproject.toml").read_text())["project"]
    extras = (*kit["optional-dependencies"]["notebook"], *grading["optional-dependencies"]["class"])
    declared = [*kit["dependencies"], *grading["dependencies"], *extras]
    named = {split(text)[0] for text in declared if split(text)[1]}  # torch: in both, in one of them with a version
    declared = [text for text in declared if split(text)[1] or split(text)[0] not in named]
    wanted = {split(text) for text in declared if not text.startswith("attention-lab")}
    for name, extra in (("environment.yml", "flash-attn"), ("environment-cpu.yml", None)):
        fields = yaml.safe_load((ROOT / name).read_text())
        plain = [text for text in fields["dependencies"] if isinstance(text, str)]
        (nested,) = [item["pip"] for item in fields["dependencies"] if isinstance(item, dict)]
        have = {split(re.sub(r"^pytorch(-gpu|-cpu)?", "torch", text)) for text in (*plain, *nested)}
        assert wanted <= have, name
        assert (extra is None) == ("flash-attn" not in {package for package, _ in have})
        assert {"--editable .", "--editable grading[class]"} <= set(nested)
        python = next(text for text in plain if text.startswith("python="))
        assert python.removeprefix("python=") >= "3.11"


def split(requirement: str) -> tuple[str, str]:
    match = re.match(r"([\w-]+)(.*)", requirement)
    return match.group(1), match.group(2)
