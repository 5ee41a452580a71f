"""Downloads into the cache: resumed, retried, checked; and what is told when nobody has the pinned bytes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import httpx
import pytest

from tests.unit.sources_server import GOOD, Heard, Served, closed_port, pin, serving, sha
from workers.errors import Failure
from workers.reports.build import ChosenPin, FetchedSource
from workers.sources.cache import cached_path, partial_path
from workers.sources.fetch import fetch
from workers.sources.http import Web, _retry_after
from workers.sources.pins import Pin
from workers.sources.settings import SourceSettings

UPSTREAM = SourceSettings(distro=False)


def fetched(
    tmp_path: Path, *pins: Pin, settings: SourceSettings = UPSTREAM, progress: Heard | None = None
) -> list[FetchedSource]:
    chosen = [ChosenPin(p.source, p.version, p.sha256, p.version) for p in pins]
    known = {p.source: (p,) for p in pins}
    return fetch(
        chosen, known, tmp_path / "cache", tmp_path / "state", settings, progress or Heard(), first_wait_s=0.01
    )


def cached(tmp_path: Path, content: bytes = GOOD) -> bytes | None:
    path = cached_path(tmp_path / "cache", sha(content))
    return path.read_bytes() if path.exists() else None


def test_a_file_comes_from_upstream_and_is_then_in_the_cache(tmp_path: Path) -> None:
    with serving(a__gz=Served()) as site:
        first = fetched(tmp_path, pin(site.url("a.gz")))
        again = fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    assert first[0].origin == site.url("a.gz")
    assert first[0].size == len(GOOD)
    assert again[0].origin == f"the cache ({site.url('a.gz')})"
    assert len(site.gets("a.gz")) == 1


def test_a_truncated_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    with serving(a__gz=Served(cuts=[1000, 300_000])) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    first, second, third = site.gets("a.gz")
    assert "range" not in first
    assert (second["range"], second["if-range"]) == ("bytes=1000-", '"one"')
    assert third["range"] == "bytes=301000-"


def test_a_file_that_changed_meanwhile_is_not_glued_to_what_was_there(tmp_path: Path) -> None:
    with serving(a__gz=Served(content=b"x" * len(GOOD), cuts=[1000])) as site:
        served = site.files["a.gz"]

        class Renewed(Heard):
            def line(self, text: str) -> None:  # called between the two attempts
                served.content, served.etag = GOOD, '"two"'

        fetched(tmp_path, pin(site.url("a.gz")), progress=Renewed())
    assert cached(tmp_path) == GOOD
    assert site.gets("a.gz")[1]["if-range"] == '"one"'


def test_a_server_without_ranges_is_read_from_the_start_again(tmp_path: Path) -> None:
    with serving(a__gz=Served(cuts=[1000], ranges=False)) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD


def test_a_file_that_ends_too_early_without_a_length_goes_on_too(tmp_path: Path) -> None:
    with serving(a__gz=Served(cuts=[1000], no_length=True)) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    assert site.gets("a.gz")[1]["range"] == "bytes=1000-"


def test_what_an_earlier_run_left_is_continued(tmp_path: Path) -> None:
    partial_path(tmp_path / "cache", sha(GOOD)).write_bytes(GOOD[:70_000])
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    assert site.gets("a.gz")[0]["range"] == "bytes=70000-"


def test_a_leftover_of_other_bytes_costs_a_second_download_but_is_not_called_a_mismatch(tmp_path: Path) -> None:
    partial_path(tmp_path / "cache", sha(GOOD)).write_bytes(b"?" * 70_000)
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    assert "range" not in site.gets("a.gz")[1]


def test_a_leftover_longer_than_the_file_is_thrown_away(tmp_path: Path) -> None:
    partial_path(tmp_path / "cache", sha(GOOD)).write_bytes(GOOD + b"more")
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD


def test_a_leftover_of_the_whole_length_needs_no_request(tmp_path: Path) -> None:
    partial_path(tmp_path / "cache", sha(GOOD)).write_bytes(GOOD)
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert cached(tmp_path) == GOOD
    assert site.gets("a.gz") == []


def test_a_leftover_of_a_file_of_unknown_size_that_is_whole_already_is_mended(tmp_path: Path) -> None:
    partial_path(tmp_path / "cache", sha(GOOD)).write_bytes(GOOD)
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz"), size=None))
    assert cached(tmp_path) == GOOD


def test_a_server_that_is_busy_twice_is_asked_a_third_time(tmp_path: Path) -> None:
    heard = Heard()
    with serving(a__gz=Served(statuses=[503, 503])) as site:
        fetched(tmp_path, pin(site.url("a.gz")), progress=heard)
    assert cached(tmp_path) == GOOD
    assert len(site.gets("a.gz")) == 3
    assert "a.gz: 127.0.0.1:" in heard.lines[0]
    assert "answers 503; asking again in" in heard.lines[0]


def test_a_server_that_stays_busy_is_given_up_and_named(tmp_path: Path) -> None:
    with serving(a__gz=Served(statuses=[503] * 99)) as site, pytest.raises(Failure) as caught:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert "a.gz of zlib 2.0 can't be had" in caught.value.what
    assert f"127.0.0.1:{site.port} gave up 5 times, last: 127.0.0.1:{site.port} answers 503" in str(caught.value)
    assert cached(tmp_path) is None


def test_the_next_origin_is_asked_where_one_has_not_got_the_file(tmp_path: Path) -> None:
    with serving() as upstream, serving(a__gz=Served()) as mirror:
        settings = SourceSettings(mirrors=(mirror.url("") + "/",), distro=False)
        result = fetched(tmp_path, pin(upstream.url("a.gz")), settings=settings)
    assert result[0].origin == mirror.url("a.gz").replace("//a.gz", "/a.gz")
    assert len(upstream.gets("a.gz")) == 1


def test_a_port_where_nobody_listens_is_asked_once_for_all_files(tmp_path: Path) -> None:
    port = closed_port()
    with serving(a__gz=Served()) as site:
        urls = [f"http://127.0.0.1:{port}/{name}.gz" for name in ("b", "c", "d")]
        fetched(tmp_path, pin(*urls, site.url("a.gz")))
    assert cached(tmp_path) == GOOD


def test_wrong_bytes_are_thrown_away_and_the_right_ones_fetched_elsewhere(tmp_path: Path) -> None:
    bad = b"?" * len(GOOD)
    with serving(a__gz=Served(content=bad)) as upstream, serving(a__gz=Served()) as mirror:
        settings = SourceSettings(mirrors=(mirror.url("")[:-1],), distro=False)
        result = fetched(tmp_path, pin(upstream.url("a.gz")), settings=settings)
    assert result[0].origin == mirror.url("a.gz")
    assert cached(tmp_path) == GOOD


def test_wrong_bytes_alone_end_in_a_failure_that_names_file_wanted_found_and_origin(tmp_path: Path) -> None:
    bad = b"?" * len(GOOD)
    with serving(a__gz=Served(content=bad)) as mirror:
        settings = SourceSettings(mirrors=(mirror.url("")[:-1],), distro=False, upstream=False)
        with pytest.raises(Failure) as caught:
            fetched(tmp_path, pin("http://127.0.0.1:1/a.gz"), settings=settings)
    told = str(caught.value)
    assert told.startswith("sources: a.gz is not what sources.toml pins\n")
    assert f"wanted  sha256 {sha(GOOD)[:8]}…{sha(GOOD)[-4:]}, {len(GOOD)} bytes" in told
    assert f"found   sha256 {sha(bad)[:8]}…{sha(bad)[-4:]}, {len(bad)} bytes, from {mirror.url('a.gz')}" in told
    assert "Take that mirror out of [sources] mirrors in settings.toml" in told
    assert cached(tmp_path) is None
    assert not partial_path(tmp_path / "cache", sha(GOOD)).exists()


def test_a_file_of_another_announced_size_is_not_downloaded(tmp_path: Path) -> None:
    with serving(a__gz=Served(content=GOOD + b"x")) as site, pytest.raises(Failure, match="is not what") as caught:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert caught.value.found == f"{len(GOOD) + 1} bytes, from {site.url('a.gz')}"


def test_a_server_that_sends_without_end_is_cut_off_at_the_pinned_size(tmp_path: Path) -> None:
    flood = GOOD * 128  # 64 MB, more than any socket buffers
    with serving(a__gz=Served(content=flood, no_length=True)) as site, pytest.raises(Failure) as caught:
        fetched(tmp_path, pin(site.url("a.gz")))
    assert site.files["a.gz"].sent < len(flood)
    assert caught.value.found is not None
    assert caught.value.found.startswith("more than ")
    assert not partial_path(tmp_path / "cache", sha(GOOD)).exists()


def test_without_a_pinned_size_the_digest_alone_decides(tmp_path: Path) -> None:
    with serving(a__gz=Served(no_length=True), b__gz=Served(content=b"?", no_length=True)) as site:
        fetched(tmp_path, pin(site.url("a.gz"), size=None))
        assert cached(tmp_path) == GOOD
        with pytest.raises(Failure, match="is not what"):
            fetched(tmp_path / "other", pin(site.url("b.gz"), size=None))


def test_a_password_in_a_mirrors_url_is_not_told(tmp_path: Path) -> None:
    with serving(a__gz=Served(content=b"?" * len(GOOD))) as site:
        settings = SourceSettings((f"http://me:secret@127.0.0.1:{site.port}",), distro=False, upstream=False)
        with pytest.raises(Failure) as caught:
            fetched(tmp_path, pin("http://127.0.0.1:1/a.gz"), settings=settings)
    assert "secret" not in str(caught.value)
    assert "Take that mirror out of [sources] mirrors in settings.toml" in str(caught.value)
    assert site.gets("a.gz")[0]["authorization"].startswith("Basic ")


@pytest.mark.parametrize("said", [b"\xb2", b"9" * 5000])
def test_a_number_that_is_none_is_not_taken_for_one(said: bytes) -> None:
    """Superscript two is a digit to Python, of which it makes no number; nor of five thousand nines."""
    assert _retry_after(httpx.Headers([(b"retry-after", said)])) == 0

    def answer(request: httpx.Request) -> httpx.Response:
        ranged = [(b"content-range", b"bytes 0-0/" + said)]
        return httpx.Response(206, headers=ranged) if request.method == "GET" else httpx.Response(405)

    web = Web(client=httpx.Client(transport=httpx.MockTransport(answer)))
    assert web.probe("http://up.example/a.gz", pin("http://up.example/a.gz").files[0]) is None


@pytest.mark.parametrize("name", ["a.gz", sha(GOOD)])
def test_the_offline_directory_has_files_by_name_or_digest(tmp_path: Path, name: str) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / name).write_bytes(GOOD)
    with serving(a__gz=Served()) as site:
        result = fetched(tmp_path, pin(site.url("a.gz")), settings=SourceSettings(offline=shelf))
    assert cached(tmp_path) == GOOD
    assert result[0].origin == f"the offline directory's {name}"
    assert site.requests == []


def test_offline_asks_no_network_even_for_what_the_directory_has_not_got(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with serving(a__gz=Served()) as site, pytest.raises(Failure) as caught:
        fetched(tmp_path, pin(site.url("a.gz")), settings=SourceSettings(offline=shelf))
    assert site.requests == []
    assert f"{shelf} has none of a.gz" in str(caught.value)


def test_wrong_bytes_in_the_offline_directory_are_named_and_left_alone(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "a.gz").write_bytes(b"?")
    with pytest.raises(Failure, match="is not what") as caught:
        fetched(tmp_path, pin("http://127.0.0.1:1/a.gz"), settings=SourceSettings(offline=shelf))
    assert caught.value.found == f"sha256 {sha(b'?')[:8]}…{sha(b'?')[-4:]}, 1 bytes, from the offline directory's a.gz"
    assert (shelf / "a.gz").exists()


@pytest.mark.parametrize("damaged", [GOOD[:-1], b"?" * len(GOOD), b""], ids=["truncated", "corrupted", "empty"])
def test_a_damaged_file_in_the_cache_is_thrown_away_and_fetched_again(tmp_path: Path, damaged: bytes) -> None:
    place = cached_path(tmp_path / "cache", sha(GOOD))
    place.parent.mkdir(parents=True)
    place.write_bytes(damaged)
    heard = Heard()
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")), progress=heard)
    assert cached(tmp_path) == GOOD
    assert heard.lines[0] == "zlib 2.0: the cached file is damaged; thrown away, fetched again"


def test_a_damaged_file_that_nobody_has_is_gone_afterwards(tmp_path: Path) -> None:
    place = cached_path(tmp_path / "cache", sha(GOOD))
    place.parent.mkdir(parents=True)
    place.write_bytes(b"?")
    with pytest.raises(Failure):
        fetched(tmp_path, pin(f"http://127.0.0.1:{closed_port()}/a.gz"))
    assert not place.exists()


def _fetch_in_a_process(tmp_path: Path, url: str) -> None:
    fetched(tmp_path, pin(url))


def test_processes_that_want_the_same_file_download_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with serving(a__gz=Served(content=GOOD)) as site:
        workers = [context.Process(target=_fetch_in_a_process, args=(tmp_path, site.url("a.gz"))) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert len(site.gets("a.gz")) == 1
    assert cached(tmp_path) == GOOD


def test_all_that_can_be_had_is_there_when_some_can_not_and_each_failure_is_told(tmp_path: Path) -> None:
    with serving(a__gz=Served()) as site, pytest.raises(Failure) as caught:
        fetched(
            tmp_path,
            pin(site.url("b.gz"), source="xz", content=b"b"),
            pin(site.url("a.gz")),
            pin(site.url("c.gz"), source="zstd", content=b"c"),
        )
    assert caught.value.what == "2 sources can't be had: xz, zstd"
    assert "b.gz of xz 2.0 can't be had" in str(caught.value)
    assert "c.gz of zstd 2.0 can't be had" in str(caught.value)
    assert cached(tmp_path) == GOOD


def test_progress_grows_to_the_number_of_bytes_wanted(tmp_path: Path) -> None:
    heard = Heard(events=True)
    with serving(a__gz=Served()) as site:
        fetched(tmp_path, pin(site.url("a.gz")), progress=heard)
    events = [line for line in heard.lines if line.startswith("::pymint ")]
    assert f'"done": {len(GOOD)}, "total": {len(GOOD)}' in events[-1]


def test_a_plan_older_than_the_pins_is_told_to_be_made_again(tmp_path: Path) -> None:
    old = ChosenPin("zlib", "1.9", "0" * 64, "2.0")
    with pytest.raises(Failure, match="no pin of zlib has the planned digest") as caught:
        fetch([old], {"zlib": (pin("http://127.0.0.1:1/a.gz"),)}, tmp_path, tmp_path, UPSTREAM, Heard())
    assert "Run `plan` again" in str(caught.value)
