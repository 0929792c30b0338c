"""HAProxy's configuration."""

from .files import DEPLOY, tool


def test_haproxy_accepts_the_configuration() -> None:
    result = tool("haproxy", "-c", "-f", DEPLOY / "haproxy" / "haproxy.cfg")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stderr
