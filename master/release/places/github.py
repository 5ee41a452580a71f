"""Releases of a GitHub repository: a draft that only its collaborators see, published whole.

The draft's text ends with a comment that names the plan, so that it is found again; what is published is known by its
asset release-plan.json. A tag is made by GitHub itself when the draft is published.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from master.release.model import PLAN_NAME, Asset
from master.release.places.base import Delivery, Held, blocks, half_done, newer
from master.release.places.github_api import Api
from workers.errors import Failure

MARK = re.compile(r"<!-- release-plan ([0-9a-f]{64}) -->")
# GitHub's own: less than 2 GiB a file, and 125,000 characters of text.
LARGEST = 2**31 - 1
LONGEST = 120_000


class GitHub:
    """Releases of one repository. pace_s: GitHub allows some 80 requests a minute that create something."""

    name = "github"
    rehearsal = False

    def __init__(self, api: Api, *, parallel: int, pace_s: float) -> None:
        self.api = api
        self.parallel = parallel
        self.pace_s = pace_s
        self._releases: dict[str, dict[str, Any]] = {}

    def address(self, tag: str) -> str:
        if self.api.address == "https://api.github.com":
            return f"https://github.com/{self.api.repository}/releases/download/{tag}"
        return f"{self.api.address.removesuffix('/api/v3')}/{self.api.repository}/releases/download/{tag}"

    def published(self, tag: str) -> str | None:
        found = self.api.get(f"releases/tags/{tag}", missing=True)
        if found is None or found.get("draft"):
            return None
        return self._identity(found)

    def _identity(self, release: dict[str, Any]) -> str:
        """Of a published release. Raises Failure when it has no plan."""
        asset = next((one for one in self._assets(release) if one["name"] == PLAN_NAME), None)
        if asset is None:
            raise Failure(
                "publish", f"github: the release {release['tag_name']} is none of ours", found=f"no {PLAN_NAME} in it",
                wanted="one that this farm published", todo="Release under another tag.",
            )  # fmt: skip
        return _digest(asset) or self._downloaded(int(asset["id"]))

    def draft(self, delivery: Delivery) -> None:
        self._check(delivery)
        drafts = self._drafts(delivery.tag)
        for one in drafts:
            found = MARK.search(one.get("body") or "")
            if found is None or found.group(1) != delivery.identity:
                plan = found.group(1) if found else "of somebody else"
                raise half_done(self.name, delivery.tag, plan, delivery.identity)
        if not drafts:
            self._check_tag(delivery)
            drafts = [self.api.post("releases", self._wanted(delivery))]
        # A request whose answer was lost may have been made twice: the first one counts.
        for one in drafts[1:]:
            self.api.delete(f"releases/{one['id']}")
        self._releases[delivery.tag] = drafts[0]

    def held(self, delivery: Delivery) -> dict[str, Held]:
        return {
            one["name"]: Held(one["name"], one["size"], _digest(one), one["state"] == "uploaded", int(one["id"]))
            for one in self._assets(self._release(delivery))
        }

    def put(self, delivery: Delivery, asset: Asset) -> None:
        template = self._release(delivery)["upload_url"]
        content = blocks(delivery.source(asset), asset)
        said = self.api.upload(template, asset.name, asset.media_type, asset.size, content)
        if said.get("name") != asset.name:
            raise Failure(
                "publish", "github: a file got another name", wanted=asset.name, found=str(said.get("name"))[:200],
                todo="GitHub changes names that it does not like. Nothing was published.",
            )  # fmt: skip

    def digest(self, delivery: Delivery, asset: Asset, held: Held) -> str:
        return held.sha256 or self._downloaded(held.handle or 0)

    def remove(self, delivery: Delivery, held: Held) -> None:
        self.api.delete(f"releases/assets/{held.handle}")

    def publish(self, delivery: Delivery) -> None:
        if self.published(delivery.tag) == delivery.identity:
            return
        release = self._release(delivery)
        latest = "true" if self._is_newest(delivery) else "false"
        self._releases[delivery.tag] = self.api.patch(
            f"releases/{release['id']}", {"draft": False, "tag_name": delivery.tag, "make_latest": latest}
        )

    def point(self, delivery: Delivery) -> list[str]:
        """`releases/latest` moves with the publication itself; here it is only looked at, and mended."""
        found = self.api.get("releases/latest", missing=True)
        now = found["tag_name"] if found is not None else None
        if now != delivery.tag:
            if not newer(delivery.tag, now):
                return []
            release = self.api.get(f"releases/tags/{delivery.tag}")
            self.api.patch(f"releases/{release['id']}", {"make_latest": "true"})
        return ["releases/latest"]

    def discard(self, tag: str) -> bool:
        drafts = [one for one in self._drafts(tag) if MARK.search(one.get("body") or "")]
        for one in drafts:
            self.api.delete(f"releases/{one['id']}")
        self._releases.pop(tag, None)
        return bool(drafts)

    def _drafts(self, tag: str) -> list[dict[str, Any]]:
        """Drafts have no tag of their own yet, so that only the list tells of them. The oldest first."""
        found = [one for one in self.api.pages("releases") if one["draft"] and one["tag_name"] == tag]
        return sorted(found, key=lambda one: int(one["id"]))

    def _release(self, delivery: Delivery) -> dict[str, Any]:
        if delivery.tag not in self._releases:
            self.draft(delivery)
        return self._releases[delivery.tag]

    def _assets(self, release: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self.api.pages(f"releases/{release['id']}/assets"))

    def _downloaded(self, asset: int) -> str:
        """For servers that tell no digest, and a moment after the upload."""
        hasher = hashlib.sha256()
        for block in self.api.download(f"releases/assets/{asset}"):
            hasher.update(block)
        return hasher.hexdigest()

    def _wanted(self, delivery: Delivery) -> dict[str, Any]:
        plan = delivery.plan
        notes = next((one for one in plan.assets if one.role == "page" and one.media_type == "text/markdown"), None)
        text = delivery.text(notes).decode("utf-8", "replace") if notes is not None else f"Commit {plan.commit}."
        if len(text) > LONGEST:
            text = f"{text[:LONGEST].rpartition(chr(10))[0]}\n\nThe rest is in {notes.name if notes else ''}.\n"
        wanted = {
            "tag_name": plan.tag, "name": plan.tag, "draft": True, "prerelease": False,
            "body": f"{text.rstrip()}\n\n<!-- release-plan {delivery.identity} -->\n",
        }  # fmt: skip
        # A repository that only takes the releases does not have the commit; its tag then lies on its own branch.
        if self.api.get(f"git/commits/{plan.commit}", missing=True) is not None:
            wanted["target_commitish"] = plan.commit
        return wanted

    def _check(self, delivery: Delivery) -> None:
        for asset in delivery.files.values():
            if not 0 < asset.size <= LARGEST:
                raise Failure(
                    "publish", f"github: {asset.name} can't be uploaded", wanted=f"1 to {LARGEST} bytes",
                    found=f"{asset.size} bytes", todo="Nothing was published. Publish to another place.",
                )  # fmt: skip

    def _check_tag(self, delivery: Delivery) -> None:
        """A tag that is there already stays where it is, whatever commit the release names."""
        found = self.api.get(f"git/ref/tags/{delivery.tag}", missing=True)
        if found is None:
            return
        target = found["object"]
        if target["type"] == "tag":
            target = self.api.get(f"git/tags/{target['sha']}")["object"]
        if target["sha"] != delivery.plan.commit:
            raise Failure(
                "publish", f"github: the tag {delivery.tag} is there and means another commit",
                wanted=delivery.plan.commit, found=target["sha"], todo="Release under another tag, or delete that one.",
            )  # fmt: skip

    def _is_newest(self, delivery: Delivery) -> bool:
        found = self.api.get("releases/latest", missing=True)
        return found is None or newer(delivery.tag, found["tag_name"])


def _digest(asset: dict[str, Any]) -> str | None:
    """Older servers have no digest, and new ones none in the first moments."""
    kind, _, value = (asset.get("digest") or "").partition(":")
    if asset["state"] != "uploaded":
        return None
    return value if kind == "sha256" else None
