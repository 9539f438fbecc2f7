# SPDX-License-Identifier: GPL-2.0-or-later
"""The page and its JSON: GET and HEAD only."""
import re

import pytest
import requests

from harness import wait


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/livez"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(shared, path, method):
    answer = requests.request(method, shared.address + path, data="x", timeout=10)
    assert answer.status_code == 405
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == {"GET", "HEAD"}


def test_health_routes(shared):
    assert shared.get("/livez").status_code == 200
    assert wait(lambda: shared.get("/readyz").status_code == 200, "ready")


def test_not_ready_without_mediamtx(make_world):
    world = make_world(mediamtx={"managed": False}).start()
    assert world.get("/livez").status_code == 200
    assert world.get("/readyz").status_code == 503


def test_page(shared):
    answer = shared.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "show" in answer.text and "<html" in answer.text.lower()
    head = requests.head(shared.address + "/", timeout=10)
    assert head.status_code == 200 and not head.content
    assert shared.get("/nowhere").status_code == 404


def test_status_shape(shared):
    status = shared.wait_settled("show")
    assert status["apiVersion"] == "sluice/v1" and status["kind"] == "Status"
    assert status["node"] == "test" and status["version"] and status["bootId"]
    assert status["source"]["path"] == str(shared.streams)
    assert set(status["summary"]) >= {"streams", "ready", "degraded", "rejectedFiles",
                                      "heldDeletes", "readers", "bitrate"}
    assert set(status["plan"]) >= {"id", "create", "swap", "break", "delete", "held"}
    assert status["engine"]["reachable"] and re.match(r"v?1\.\d+", status["engine"]["version"])
    one = shared.stream("show", status)
    types = {condition["type"] for condition in one["conditions"]}
    assert types >= {"Accepted", "Resolved", "Placed", "Programmed", "Healthy", "Ready"}
    ready = [condition for condition in one["conditions"] if condition["type"] == "Ready"][0]
    assert ready["reason"] == "Flowing" and ready["lastTransitionTime"]
    assert shared.get("/api/v1/streams/show").json()["name"] == "show"
    assert shared.get("/api/v1/streams/nobody").status_code == 404


def test_etag(shared):
    shared.wait_settled("show")

    def unchanged():
        tag = shared.get("/api/v1/status").headers["ETag"]
        again = shared.get("/api/v1/status", headers={"If-None-Match": tag})
        return again.status_code == 304 and not again.content
    wait(unchanged, "304 for the same status")


def test_no_secret_is_told(shared):
    shared.wait_settled("show")
    secret = (shared.state / "internal-user").read_text().strip()
    told = shared.all_logs() + shared.get("/api/v1/status").text + shared.get("/").text
    told += shared.get("/api/v1/desired").text
    assert secret not in told
    for pid in shared.ours():
        with open(f"/proc/{pid}/cmdline") as line, open(f"/proc/{pid}/environ") as environment:
            assert secret not in line.read() and secret not in environment.read()


@pytest.fixture(scope="module")
def shared():
    """One World for all questions that change nothing."""
    from harness import World
    world = World().start()
    world.add("show")
    world.wait_settled("show")
    yield world
    found = world.close()
    assert not found, found
