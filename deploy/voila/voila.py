# ruff: noqa: F821
# Voila's settings where only `voila` can be started; see docs/hosting.md for what they cannot close.
c = get_config()
c.Voila.ip = "127.0.0.1"
c.Voila.open_browser = False
c.Voila.tornado_settings = {
    "headers": {"Content-Security-Policy": "frame-ancestors 'self'"},
    "websocket_max_message_size": 10 * 1024 * 1024,
}
c.VoilaConfiguration.preheat_kernel = True
c.VoilaConfiguration.default_pool_size = 2
c.VoilaConfiguration.show_tracebacks = False
c.VoilaConfiguration.allow_template_override = "NO"
c.VoilaConfiguration.allow_theme_override = "NO"
c.VoilaExecutor.timeout = 120
c.MappingKernelManager.cull_interval = 60
c.MappingKernelManager.cull_idle_timeout = 900
c.MappingKernelManager.cull_connected = True
