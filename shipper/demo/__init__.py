"""The demo: a small organisation's made-up AWS logs, and a show of what becomes of them on the real road."""

from __future__ import annotations


def run(*, elasticsearch: str | None = None, splunk: str | None = None, token: str | None = None, keep: bool) -> int:
    """Ship the demo's logs on this machine and tell what arrived; see `shipper.demo.show`.

    Args:
        elasticsearch: address of an Elasticsearch that gets the events too.
        splunk: address of a Splunk HTTP Event Collector that gets them too, with its `token`.
        keep: keep the files in `./shipper-demo`.

    Returns:
        The exit code: 0 when every record is accounted for.
    """
    from shipper.demo.show import run_demo

    return run_demo(elasticsearch=elasticsearch, splunk=splunk, token=token, keep=keep)
