"""Changes of `.aegis.yaml` take effect while aegis runs."""
