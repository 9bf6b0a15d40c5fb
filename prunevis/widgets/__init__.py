"""The page as a widget: one anywidget, its scripts and styles in `static/`."""
