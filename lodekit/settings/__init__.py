"""Settings, as TOML files hold them, to estimators."""
