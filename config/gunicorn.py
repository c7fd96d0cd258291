"""How gunicorn runs Ammon: threads for the web, one refresher process beside the workers.

`gunicorn --config config/gunicorn.py 'app:create_app()'`, as `make run` does.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from config.loading import ConfigError, load
from config.values import PROJECT_ROOT

try:
    _settings = load(os.environ).settings
except ConfigError as error:
    sys.exit(f"Ammon cannot start, the configuration is wrong:\n{error}")

bind = (
    f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
)
workers = _settings.workers
threads = _settings.threads
worker_class = "routes.worker.Worker"
preload_app = True  # imported once; nothing is opened before the fork
timeout = 120
graceful_timeout = 3  # with the refresher's own 3 s, everything ends within five
keepalive = 15
limit_request_line = 8190
control_socket_disable = True  # no socket in the home folder
accesslog = None  # routes/hooks.py writes one line per request
loglevel = _settings.log_level.lower()
chdir = str(PROJECT_ROOT)

_refresher: int | None = None  # its process id
_ending = threading.Event()


def on_starting(server: Any) -> None:
    """Refuse to start where nothing could be kept."""
    try:
        _settings.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=_settings.data_dir):
            pass
    except OSError as error:
        sys.exit(f"Ammon cannot start, data_dir (AMMON_DATA_DIR) cannot be written: {error}")


def when_ready(server: Any) -> None:
    """Start the refresher, and start it again should it die; end it when the server begins to stop."""
    stop = server.stop

    def stop_all(graceful: bool = True) -> None:
        _end_refresher()
        stop(graceful)

    server.stop = stop_all
    threading.Thread(target=_keep_refresher, args=(server,), name="keep-refresher", daemon=True).start()


def on_exit(server: Any) -> None:
    """Leave no refresher behind."""
    _end_refresher()
    for _ in range(10):
        if not _alive(_refresher):
            return
        time.sleep(0.1)
    _send(signal.SIGKILL)


def _keep_refresher(server: Any) -> None:
    global _refresher  # noqa: PLW0603 - gunicorn's hooks are functions of a module
    pause = 1.0
    while not _ending.is_set():
        _refresher = _start_refresher(server)
        while _alive(_refresher):
            if _ending.wait(0.5):
                return
        if not _ending.wait(pause):
            server.log.error("the refresher ended unexpectedly; starting it again")
            pause = min(60.0, pause * 2)


def _start_refresher(server: Any) -> int:
    """Start it without `subprocess`: a worker forked at the same moment would inherit its pipe, which then
    never ends, and this thread would wait for that for ever.
    """
    command = [sys.executable, "-m", "flask", "--app", "app", "refresher", "--parent", str(os.getpid())]
    closed = [(os.POSIX_SPAWN_CLOSE, listener.fileno()) for listener in server.LISTENERS]
    # A process group of its own: Ctrl-C reaches the server, which ends the refresher.
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=closed, setpgroup=0)


def _alive(process: int | None) -> bool:
    if process is None:
        return False
    try:
        return os.waitpid(process, os.WNOHANG)[0] == 0
    except ChildProcessError:  # gunicorn waits for every child, ours too
        return False


def _send(number: signal.Signals) -> None:
    try:
        if _refresher is not None:
            os.kill(_refresher, number)
    except ProcessLookupError:
        return


def _end_refresher() -> None:
    _ending.set()
    if _alive(_refresher):
        _send(signal.SIGTERM)
