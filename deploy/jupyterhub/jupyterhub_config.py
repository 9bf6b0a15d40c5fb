"""JupyterHub for a class on one machine: a JupyterLab for each student, with prunevis in it.

Lab and not `prunevis serve`, for two reasons: students bring networks of their own, which takes
code; and a single-user server must ask the hub who is there, which Lab's does and the page does not
(behind a hub, anyone who guessed a student's address would get in). The page alone stands in each
student's server too, drawn by Voila behind the same login:
/user/NAME/voila/render/prunevis/page.ipynb

    jupyterhub -f jupyterhub_config.py

PRUNEVIS_HUB_TRIAL=1 tries it out on 127.0.0.1 without accounts: any name, no password.
"""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

#: The folder with deploy/, notebooks/ and so on: a copy of the repository.
COPY = Path(os.environ.get("PRUNEVIS_COPY", "/opt/prunevis/src"))
TRIAL = os.environ.get("PRUNEVIS_HUB_TRIAL") == "1"

# For this machine alone: the proxy in front (see deploy/proxy) speaks HTTPS to all others.
c.JupyterHub.bind_url = "http://127.0.0.1:8000/"
c.JupyterHub.hub_ip = "127.0.0.1"
c.ConfigurableHTTPProxy.should_start = True

if TRIAL:
    c.JupyterHub.authenticator_class = "dummy"
    c.Authenticator.allow_all = True
    # everybody is the one who started it, in a folder below /tmp
    c.JupyterHub.spawner_class = "simple"
else:
    # the machine's own accounts (the hub runs as root and starts each server as its student)
    c.JupyterHub.authenticator_class = "pam"
    c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
    # whom you let in: a group of the machine
    c.PAMAuthenticator.allowed_groups = {"students"}
    c.PAMAuthenticator.admin_groups = {"teachers"}

# As the student, and before their server starts: the course, and the page, in a folder of theirs.
# What they have changed stays.
c.Spawner.cmd = [
    "sh",
    "-c",
    'mkdir -p "$HOME/prunevis" && cp -Rn "$PRUNEVIS_COPY"/notebooks/*.ipynb '
    '"$PRUNEVIS_COPY"/deploy/voila/page.ipynb "$HOME/prunevis"; exec jupyterhub-singleuser "$@"',
    "sh",
]
c.Spawner.default_url = "/lab/tree/prunevis/start.ipynb"
# What `prunevis serve` gives a visitor; it holds for page.ipynb. Code in a notebook is not limited
# by it: see README.md for memory.
c.Spawner.environment = {
    "PRUNEVIS_COPY": str(COPY),
    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    "OMP_NUM_THREADS": "1",
    "PRUNEVIS_IMAGES": "10000",
    "PRUNEVIS_EPOCHS": "10",
    "PRUNEVIS_MINUTES": "10",
    "PRUNEVIS_MEMORY": "1500",
}
# A kernel whose tab is gone ends after a quarter of an hour, and a server that nobody used after
# an hour.
c.Spawner.args = [
    "--MappingKernelManager.cull_idle_timeout=900",
    "--MappingKernelManager.cull_interval=60",
    "--ServerApp.shutdown_no_activity_timeout=3600",
    "--VoilaConfiguration.show_tracebacks=False",
]
c.Spawner.http_timeout = 60
c.JupyterHub.active_server_limit = 30
c.JupyterHub.concurrent_spawn_limit = 4
# A room of thirty that logs in at once is not a failure.
c.Spawner.start_timeout = 120
