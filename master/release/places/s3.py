"""A bucket of an S3 service. Nothing in it is ever written over but the pointers, and those only as they were read.

    <prefix>/<tag>/<name>             the files; release-plan.json comes last, and with it the release is published
    <prefix>/.drafts/<tag>            the identity of the plan that is on its way there
    <prefix>/latest-release.json ...  the newest release's indexes

The service has to refuse writes whose condition does not hold, which is tried each time. Whether it refuses bytes that
do not match their checksum is tried as well: the audit of one that does not reads everything back.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from master.bucket.access import Access
from master.bucket.client import client_of, status_of, words
from master.bucket.trouble import Trouble
from master.release.model import PLAN_NAME, Asset
from master.release.places.base import (
    BLOCK,
    LATEST,
    Delivery,
    Held,
    half_done,
    newer,
    pointers,
)
from master.release.places.watched import Piece, Watched
from workers.errors import Failure

# One request up to here: the service then checks the sha256 of the whole. The parts of what is larger it checks alone.
SINGLE = 256 * 1024 * 1024
PART = 16 * 1024 * 1024
_FOREVER = "public, max-age=31536000, immutable"
_BRIEFLY = "public, max-age=60"


class S3:
    """Releases below a prefix of a bucket. base: the address that `address` begins with."""

    name = "s3"
    rehearsal = False
    pace_s = 0.0

    def __init__(self, access: Access, *, parallel: int, single: int = SINGLE, part: int = PART) -> None:
        self.access = access
        self.bucket = access.bucket
        self.prefix = f"{access.prefix.strip('/')}/" if access.prefix.strip("/") else ""
        self.parallel = parallel
        self._single, self._part = single, part
        self._client: Any = None
        self._checks: bool | None = None

    @property
    def client(self) -> Any:
        """boto3's, made when it is first wanted: a rehearsal never gets here."""
        if self._client is None:
            self._client = client_of(self.access, self.parallel)
        return self._client

    def address(self, tag: str) -> str:
        if self.access.endpoint:
            return f"{self.access.endpoint.rstrip('/')}/{self.bucket}/{self.prefix}{tag}"
        return f"https://{self.bucket}.s3.{self.access.region}.amazonaws.com/{self.prefix}{tag}"

    def published(self, tag: str) -> str | None:
        found = self._read(f"{self.prefix}{tag}/{PLAN_NAME}")
        return hashlib.sha256(found[0]).hexdigest() if found is not None else None

    def draft(self, delivery: Delivery) -> None:
        marker, identity = self._marker(delivery.tag), delivery.identity
        if self._create(marker, identity) and self._create(marker, identity):
            raise Failure(
                "publish", "s3: the service writes over what is there, whatever the condition",
                wanted="412 for If-None-Match: * on an object that exists", found="200", todo="Take another service.",
            )  # fmt: skip
        found = self._read(marker)
        if found is None:
            raise Trouble("s3: the mark of the draft is not there yet")
        if found[0] != identity.encode():
            raise half_done(self.name, delivery.tag, found[0].decode("utf-8", "replace"), identity)
        self._abort_uploads(delivery.tag)

    def held(self, delivery: Delivery) -> dict[str, Held]:
        below = self._below(delivery.tag)
        return {
            key.removeprefix(below): Held(key.removeprefix(below), size) for key, size in self._listed(below).items()
        }

    def put(self, delivery: Delivery, asset: Asset) -> None:
        if asset.size > self._single:
            self._put_in_parts(delivery, asset)
            return
        checksum = base64.b64encode(bytes.fromhex(asset.sha256)).decode()
        with words(), Watched(delivery.source(asset), asset) as body:
            self.client.put_object(
                Bucket=self.bucket, Key=self._key(delivery, asset), Body=body, ContentLength=asset.size,
                ChecksumSHA256=checksum, IfNoneMatch="*", **_headers(asset),
            )  # fmt: skip

    def _put_in_parts(self, delivery: Delivery, asset: Asset) -> None:
        key, parts = self._key(delivery, asset), list[dict[str, Any]]()
        here = {"Bucket": self.bucket, "Key": key}
        with words():
            upload = self.client.create_multipart_upload(
                **here, ChecksumAlgorithm="SHA256", **_headers(asset, part=self._part)
            )["UploadId"]
        try:
            with words(), Watched(delivery.source(asset), asset) as body:
                while (begin := body.tell()) < asset.size:
                    checksum = base64.b64encode(_digest(body, self._part)).decode()
                    with Piece(delivery.source(asset), begin, body.tell() - begin) as piece:
                        sent = self.client.upload_part(
                            **here, UploadId=upload, PartNumber=len(parts) + 1, Body=piece, ChecksumSHA256=checksum
                        )
                    parts.append({"PartNumber": len(parts) + 1, "ETag": sent["ETag"], "ChecksumSHA256": checksum})
            with words():
                self.client.complete_multipart_upload(
                    **here, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
                )
        except (Failure, Trouble):
            self._abort(key, upload)
            raise

    def digest(self, delivery: Delivery, asset: Asset, held: Held) -> str:
        key = self._key(delivery, asset)
        with words():
            head = self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        said = head.get("ChecksumSHA256", "") if self._checked_by_the_service(delivery.tag) else ""
        if said and "-" not in said:
            return base64.b64decode(said).hex()
        part = head.get("Metadata", {}).get("part", "")
        if "-" in said and part.isdigit() and said == composite(delivery.source(asset), int(part)):
            return asset.sha256
        hasher = hashlib.sha256()
        with words():
            for block in self.client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(BLOCK):
                hasher.update(block)
        return hasher.hexdigest()

    def _checked_by_the_service(self, tag: str) -> bool:
        """Whether a checksum that the service tells is more than what it was told."""
        if self._checks is None:
            key = f"{self._marker(tag)}.probe"
            wrong = base64.b64encode(bytes(32)).decode()
            try:
                with words():
                    self.client.put_object(Bucket=self.bucket, Key=key, Body=b"probe", ChecksumSHA256=wrong)
            except (Trouble, Failure) as refusal:  # each service has a word of its own for it
                if status_of(refusal.__cause__) != 400:
                    raise
                self._checks = True
            else:
                self._delete(key)
                self._checks = False
        return self._checks

    def remove(self, delivery: Delivery, held: Held) -> None:
        self._delete(f"{self._below(delivery.tag)}{held.name}")

    def publish(self, delivery: Delivery) -> None:
        if self.published(delivery.tag) != delivery.identity:
            raise Trouble("s3: release-plan.json is not there yet")
        # An upload whose beginning was not answered is known to nobody but the service.
        self._abort_uploads(delivery.tag)
        self._delete(self._marker(delivery.tag))

    def point(self, delivery: Delivery) -> list[str]:
        assets = list(reversed(pointers(delivery.plan)))
        if not assets or assets[0].name != LATEST:
            return []
        # All are read before the first is written, and that one claims the rest: of two releases that end at once, the
        # older then finds a condition broken, wherever it is.
        before = {one.name: self._read(f"{self.prefix}{one.name}") for one in assets}
        claimed = before[LATEST]
        now = _tag_of(claimed[0]) if claimed is not None else None
        if now is not None and now != delivery.tag and not newer(delivery.tag, now):
            return []
        for asset in assets:
            content, found = delivery.text(asset), before[asset.name]
            if found is not None and found[0] == content:
                continue
            condition = {"IfMatch": found[1]} if found is not None else {"IfNoneMatch": "*"}
            with words():
                self.client.put_object(
                    Bucket=self.bucket, Key=f"{self.prefix}{asset.name}", Body=content, ContentType=asset.media_type,
                    CacheControl=_BRIEFLY, **condition,
                )  # fmt: skip
        return [asset.name for asset in assets]

    def discard(self, tag: str) -> bool:
        if self._read(self._marker(tag)) is None:
            return False
        if self.published(tag) is None:
            self._abort_uploads(tag)
            for key in self._listed(self._below(tag)):
                self._delete(key)
        self._delete(self._marker(tag))
        return True

    def _below(self, tag: str) -> str:
        return f"{self.prefix}{tag}/"

    def _key(self, delivery: Delivery, asset: Asset) -> str:
        return f"{self._below(delivery.tag)}{asset.name}"

    def _marker(self, tag: str) -> str:
        return f"{self.prefix}.drafts/{tag}"

    def _read(self, key: str) -> tuple[bytes, str] | None:
        """A small object and its ETag, None when there is none."""
        try:
            with words(missing=True):
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
                return answer["Body"].read(), answer["ETag"]
        except KeyError:
            return None

    def _create(self, key: str, text: str) -> bool:
        """Writes a small object; False when there is one."""
        try:
            with words():
                self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=text.encode(), ContentType="text/plain", IfNoneMatch="*"
                )
        except Trouble as trouble:
            if status_of(trouble.__cause__) == 412:
                return False
            raise
        return True

    def _delete(self, key: str) -> None:
        with words():
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def _listed(self, below: str) -> dict[str, int]:
        with words():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below)
            return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", [])}

    def _abort_uploads(self, tag: str) -> None:
        """What a process that was killed left of large files: nobody sees it, and everybody pays for it."""
        with words():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._below(tag)
            )
            found = [(one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", [])]
        for key, upload in found:
            self._abort(key, upload)

    def _abort(self, key: str, upload: str) -> None:
        try:
            with words(missing=True):
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        except (KeyError, Trouble):
            return  # gone already, or the next run's draft finds it


def _headers(asset: Asset, part: int | None = None) -> dict[str, Any]:
    metadata = {"sha256": asset.sha256} | ({"part": str(part)} if part is not None else {})
    return {"ContentType": asset.media_type, "CacheControl": _FOREVER, "Metadata": metadata}


def _digest(stream: Watched, size: int) -> bytes:
    """The sha256 of as much of what comes next, a block at a time: whole parts would be held for each upload."""
    hasher = hashlib.sha256()
    while size and (block := stream.read(min(size, BLOCK))):
        hasher.update(block)
        size -= len(block)
    return hasher.digest()


def _tag_of(content: bytes) -> str | None:
    try:
        return str(json.loads(content)["tag"])
    except (ValueError, KeyError, TypeError):
        return None


def composite(path: Path, part: int) -> str:
    """What S3 says of a file that came in parts: base64 of the sha256 of the parts' sha256s, and their number."""
    hasher, count = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(part):
            hasher.update(hashlib.sha256(block).digest())
            count += 1
    return f"{base64.b64encode(hasher.digest()).decode()}-{count}"
