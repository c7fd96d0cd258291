"""How gunicorn runs Ammon: threads for the web, one refresher process beside the workers.

`gunicorn --config config/gunicorn.py 'app:create_app()'`, as `make run` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
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

_refresher: subprocess.Popen[bytes] | None = None
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
    threading.Thread(target=_keep_refresher, args=(server.log,), name="keep-refresher", daemon=True).start()


def on_exit(server: Any) -> None:
    """Leave no refresher behind."""
    _end_refresher()
    if _refresher is not None:
        try:
            _refresher.wait(1)
        except subprocess.TimeoutExpired:
            _refresher.kill()


def _end_refresher() -> None:
    _ending.set()
    if _refresher is not None and _refresher.poll() is None:
        _refresher.terminate()


def _keep_refresher(log: Any) -> None:
    global _refresher  # noqa: PLW0603 - gunicorn's hooks are functions of a module
    pause = 1.0
    while not _ending.is_set():
        command = [sys.executable, "-m", "flask", "--app", "app", "refresher", "--parent", str(os.getpid())]
        _refresher = subprocess.Popen(command, cwd=PROJECT_ROOT, start_new_session=True)  # noqa: S603 - our own command
        while _refresher.poll() is None:
            if _ending.wait(0.5):
                return
        if not _ending.wait(pause):
            log.error("the refresher ended unexpectedly; starting it again")
            pause = min(60.0, pause * 2)
