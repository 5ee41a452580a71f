"""The signer, a process of its own: `python -m master.signing BUILD`, with MINT_HOME in the environment.

It is told a build's id, as `./mint status` lists it, and nothing else about the build. Its last line is the Outcome. Of
a release, `--release TAG DIGEST`, it is told the tag and which SHA256SUMS; its last line is where the bundle is stored.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from master import settings
from master.home import home_of
from master.machine import in_words
from master.release import guard
from master.signing import journal
from master.signing.keeping import own_trust
from master.signing.release import sign, signed_lists
from master.signing.signer import attest
from master.store import Store
from workers.errors import Failure
from workers.model import ROOT, load_matrix
from workers.progress import counted


@click.command()
@click.argument("build", type=click.IntRange(min=1), required=False)
@click.option(
    "--dry-run", "rehearsal", type=click.Path(path_type=Path, file_okay=False),
    help="Sign with the key of dry runs, and write the bundles into this directory only.",
)  # fmt: skip
@click.option(
    "--release", nargs=2, metavar="TAG DIGEST",
    help="Sign the SHA256SUMS of that digest, which is in the store, and all that it lists.",
)  # fmt: skip
@click.option("--rehearse", is_flag=True, help="With --release: sign with the key of dry runs.")
@click.option("--check", is_flag=True, help="Only check the journal of what was signed, against the stored bundles.")
def main(
    build: int | None, rehearsal: Path | None, release: tuple[str, str] | None, rehearse: bool, check: bool
) -> None:
    """Signs what BUILD made, if it is on the branch that is built; a second time it only says what it did."""
    home = home_of(ROOT)
    try:
        chosen = settings.load(home, load_matrix())
        if guard.confined():
            chosen = settings.without_bucket(chosen, home)
        if check:
            store = Store(settings.store_place(chosen, home), patient=True)
            remembered = [line for one in store.attestations() for line in one.lines]
            trust = own_trust(home)
            bundles = [] if trust is None else list(signed_lists(store, trust))
            entries = journal.verify(home.journal, remembered, bundles)
            click.echo(f"{home.journal}: {counted(len(entries), 'line')}, none changed or missing")
        elif release is not None:
            stored = sign(home, chosen, *release, dry_run=rehearse)
            click.echo(msgspec.json.encode(stored).decode())
        elif build is not None:
            click.echo(msgspec.json.encode(attest(home, chosen, build, rehearsal=rehearsal)).decode())
        else:
            raise click.UsageError("name a BUILD, --release TAG DIGEST or --check")
    except (Failure, OSError) as error:
        click.echo(str(in_words("signing", error)), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
