"""The names of the modules that run learners' code in processes of their own: who only starts them imports no torch."""

JUDGE_WORKER = "attention_grading.execution.judge_worker"
NOTEBOOK_WORKER = "attention_grading.execution.notebook_worker"
