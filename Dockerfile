# Two images; build them in the course's folder. Nobody has built them yet: see CONTRIBUTING.md, "Containers".
#
# Learners, JupyterLab on START at the address that it prints:
#   docker build --target learner --tag attention-learner .
#   docker run --rm --init --publish 127.0.0.1:8888:8888 --volume "$PWD/release:/course/release" attention-learner
#
# Graders, in the course root:
#   docker build --target grader --tag attention-grader .
#   docker run --rm --init --volume "$PWD:/course" attention-grader attention-grading grade 02_eager_causal
#
# Grading confines learners' code by Landlock and seccomp (SECURITY.md): the host has Linux 6.2 or later with Landlock,
# and the container's own filter allows landlock_create_ruleset, landlock_add_rule, landlock_restrict_self and seccomp, as
# Docker's default has since 2022. No capability and no --privileged is needed; where confinement fails, grading is refused.
FROM python:3.12-slim-bookworm AS course
WORKDIR /opt/attention
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml LICENSE ./
COPY src src
ENV OMP_NUM_THREADS=1

FROM course AS learner
RUN pip install --no-cache-dir --constraint constraints.txt ".[notebook]"
WORKDIR /course
RUN useradd --uid 1000 --create-home learner
USER 1000
COPY --chown=1000 release release
EXPOSE 8888
CMD ["attention-lab", "start", "--ip=0.0.0.0", "--no-browser"]

FROM course AS grader
COPY grading grading
RUN pip install --no-cache-dir --constraint constraints.txt . "./grading[class]"
WORKDIR /course
CMD ["attention-grading", "--help"]
