"""Sheets as Canvas and Moodle export them, for a class of five."""

from __future__ import annotations

STEM = "02_eager_causal"
CANVAS_HEADER = f"Student,ID,SIS User ID,SIS Login ID,Section,{STEM} (4567),Other (99),Current Score\n"
CANVAS_EXPORT = f"""\
{CANVAS_HEADER}    Points Possible,,,,,10,5,(read only)
"One, A",101,s-1,one,Group 1,,3,50
"Two, B",102,s-2,two,Group 1,,4,50
"Three, C",103,s-3,three,Group 1,,,
"Four, D",104,s-4,four,Group 1,7,,
"=2+5",105,s-5,five,Group 1,,,
"""
MOODLE_HEADER = "Identifier,Full name,ID number,Status,Grade,Maximum grade,Last modified (grade),Feedback comments\n"
MOODLE_SHEET = f"""\
{MOODLE_HEADER}Participant 4711,One A,101,Submitted for grading,,10.00,-,
Participant 4712,Two_B b,102,Submitted for grading,,10.00,-,
Participant 4713,Three C,103,Submitted for grading,,10.00,-,
Participant 4714,Four D,104,No submission,7.00,10.00,"Thursday, 1 October 2026, 12:30 PM",
Participant 4715,=2+5,105,No submission,,10.00,-,
"""
