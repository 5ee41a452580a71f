"""`./mint verify`: does an archive come from where it says, by its bundle and keys that are trusted. Offline."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from master.cli.context import this_farm
from master.signing import directory, keeping, keys, trust
from master.signing.bundle import SUFFIX
from master.signing.trust import Trust
from master.signing.verify import Verified, Wanted
from workers.errors import Failure
from workers.reports.base import encode

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True))
@click.option("--bundle", type=FILE, help="Its bundle, if that is not ARCHIVE.sigstore.json beside it.")
@click.option("--key", "key_files", type=FILE, multiple=True, help="A public key (PEM) that is trusted.")
@click.option("--keys", "key_list", type=FILE, help="A farm's keys.json.")
@click.option("--trusted-root", type=FILE, help="A farm's trusted_root.jsonl, for bundles with a certificate.")
@click.option("--builder", help="The id of the builder that it has to come from.")
@click.option("--commit", help="The commit, all 40 digits.")
@click.option("--source", help="The repository's address.")
@click.option("--target", help="The target that it was built for.")
@click.option("--python", "version", help="The minor version, such as 3.13.")
@click.option("--variant", help="The variant, such as pgo+lto.")
@click.option("--unsigned-sums", is_flag=True, help="Also a directory whose SHA256SUMS nobody signed: a build's.")
@click.option("--json", "as_json", is_flag=True, help="For programs: what was attested, a line an archive.")
def verify(
    archive: Path,
    bundle: Path | None,
    key_files: Sequence[Path],
    key_list: Path | None,
    trusted_root: Path | None,
    builder: str | None,
    commit: str | None,
    source: str | None,
    target: str | None,
    version: str | None,
    variant: str | None,
    unsigned_sums: bool,
    as_json: bool,
) -> None:
    """Checks ARCHIVE against its bundle, or a directory's archives and its SHA256SUMS. Opens no connection.

    Whom to trust: --key, --keys or --trusted-root; without any, this farm's own keys. Ends with 1 when anything is not
    so.
    """
    chosen = trusted(key_files, key_list, trusted_root)
    wanted = Wanted(builder, commit, source, target, version, variant)
    try:
        if archive.is_dir():
            if bundle is not None:
                raise click.UsageError("--bundle is for one archive; a directory's lie beside their archives")
            if unsigned_sums and not (archive / f"{directory.SUMS}{SUFFIX}").exists():
                click.echo(f"{directory.SUMS} is not signed: nobody vouches for what is only listed in it", err=True)
            for name, found in directory.all_of(archive, chosen, wanted, unsigned_sums=unsigned_sums):
                _tell(name, found, as_json=as_json)
        else:
            if unsigned_sums:
                raise click.UsageError("--unsigned-sums is for a directory: an archive is judged by its bundle only")
            _tell(archive.name, directory.one(archive, bundle, chosen, wanted), as_json=as_json)
    except OSError as error:
        raise Failure("verify", f"{archive} can't be read", found=str(error), todo="Name another.") from error


def trusted(key_files: Sequence[Path], key_list: Path | None, trusted_root: Path | None) -> Trust:
    """What these files say, or this farm's own keys. Raises Failure."""
    if not key_files and key_list is None and trusted_root is None:
        home = this_farm().home
        own = keeping.own_trust(home)
        if own is None:
            raise click.UsageError("whom to trust? Name --key, --keys or --trusted-root: this farm has no key yet")
        click.echo(f"trusting this farm's own keys, in {home.keys}", err=True)
        return own
    found = trust.decode_root(trusted_root.read_bytes(), trusted_root.name) if trusted_root is not None else Trust()
    known = list(trust.decode_keys(key_list.read_bytes(), key_list.name).keys) if key_list is not None else []
    for path in key_files:
        known.append(trust.known_key(path.stem, keys.spki_of(keys.read_public(path.read_bytes(), path.name))))
    return Trust(tuple(known), found.authorities, found.services)


def _tell(name: str, found: Verified | None, *, as_json: bool) -> None:
    if as_json:
        if found is not None:
            click.echo(encode(found).decode(), nl=False)
        return
    if found is None:
        click.echo(f"{name}: as listed")
        return
    click.echo(f"{name}: verified")
    said = found.parameters
    rows = {
        "sha256": found.sha256,
        "builder": found.builder,
        "commit": f"{said['commit']} of {said['source']}, {said['branch']}" if said else "",
        "cell": f"{said['version']} {said['target']} {said['variant']}" if said else "",
        "signed by": found.signed_by + (f", {found.at:%Y-%m-%d %H:%M:%S} UTC" if found.at is not None else ""),
    }
    for title, value in rows.items():
        if value:
            click.echo(f"  {title:<10} {value}")
    sys.stdout.flush()
