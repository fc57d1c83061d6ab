"""Links, pipes and depth in a student's folder are set aside."""

from __future__ import annotations

import os

from attention_grading.nbgrader_plugin.clean_submission import set_aside


def test_set_aside_moves_links_pipes_and_depth_and_leaves_the_rest(tmp_path):
    folder = tmp_path / "submitted" / "student" / "02_eager_causal"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "own.txt").write_text("mine")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "/".join(["d"] * 30)).mkdir(parents=True)
    lines = set_aside(folder, tmp_path / "aside")
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == ["d", "link", "pipe"]
    assert len(lines) == 3
    assert (folder / "notes" / "own.txt").read_text() == "mine"
    assert set_aside(folder, tmp_path / "aside") == []


def test_set_aside_moves_a_link_in_place_of_the_folder_and_not_what_it_leads_to(tmp_path):
    other = tmp_path / "submitted" / "other" / "02_eager_causal"
    other.mkdir(parents=True)
    (other / "02_eager_causal.ipynb").write_text("{}")
    link = tmp_path / "submitted" / "student" / "02_eager_causal"
    link.parent.mkdir()
    link.symlink_to(other)
    assert "is a link to" in set_aside(link, tmp_path / "aside")[0]
    assert not link.exists()
    assert (other / "02_eager_causal.ipynb").read_text() == "{}"
