"""What Python's documentation marks "Availability: Unix", and has no other way on Windows."""

POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
POSIX_FUNCTIONS = {
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getpgid", "getpgrp", "getloadavg"),
    *("setsid", "setpgid", "setuid", "setgid", "killpg", "wait", "wait3", "wait4", "waitid", "nice", "uname", "chown"),
    *("fchmod", "fchown", "lchown", "mkfifo", "sched_getaffinity", "sched_setaffinity", "sysconf", "posix_spawn"),
    *("openpty", "pread", "pwrite", "sendfile", "statvfs", "getpriority", "setpriority"),
}
POSIX_SIGNALS = {
    *("SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGSTOP", "SIGCONT", "SIGCHLD", "SIGPIPE"),
    *("alarm", "setitimer", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "sigwait", "ITIMER_REAL"),
}
POSIX_NAMES = {f"os.{name}" for name in POSIX_FUNCTIONS} | {f"signal.{name}" for name in POSIX_SIGNALS}
