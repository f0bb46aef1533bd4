"""The ICU stays of PhysioNet 2012 as one long table for `latentsde fit`.

    python experiments/physionet_table.py --root DATA --stays 500 --out stays.csv
    latentsde fit stays.csv --id id --time hours --static age,gender,height,icu_type --out runs/stays

DATA holds physionet2012/set-a.tar.gz (and set-b.tar.gz for --set b): a text file for each stay with lines
HH:MM,parameter,value (Silva et al. 2012, PhysioNet/CinC Challenge; Open Data Commons Attribution License). A
row of the table is one minute of one stay with anything measured: id, hours since admission, 36 features, and
four descriptors as static covariates. -1 means unknown and becomes an empty field; values of one parameter
repeated in the same minute are averaged.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import pandas as pd

DESCRIPTORS = {"Age": "age", "Gender": "gender", "Height": "height", "ICUType": "icu_type"}
# Whether the patient is ventilated is a switch, recorded only while it is on: no series of values.
LEFT_OUT = ("RecordID", "MechVent")


def records(archive: Path, count: int) -> pd.DataFrame:
    """The measurements of the first `count` stays by record number: columns id, hours, Parameter, Value."""
    lines = ["id,Time,Parameter,Value"]
    with tarfile.open(archive) as tar:
        members = sorted((m for m in tar.getmembers() if m.name.endswith(".txt")), key=lambda m: m.name)
        for member in members[:count]:
            file = tar.extractfile(member)
            assert file is not None
            stay = Path(member.name).stem
            lines += [f"{stay},{line}" for line in file.read().decode().splitlines()[1:] if line]
    frame = pd.read_csv(io.StringIO("\n".join(lines)), dtype={"id": str})
    clock = frame["Time"].str.split(":", expand=True).astype(int)
    frame["hours"] = (clock[0] + clock[1] / 60).round(6)
    return frame[["id", "hours", "Parameter", "Value"]]


def table(measured: pd.DataFrame) -> pd.DataFrame:
    """One row for each stay and minute, one column for each parameter."""
    # Unknown, and lines whose parameter is blank.
    measured = measured[(measured["Value"] != -1) & measured["Parameter"].notna()]
    measured = measured[~measured["Parameter"].isin(LEFT_OUT)]
    described = measured["Parameter"].isin(list(DESCRIPTORS))
    wide = measured[~described].pivot_table(
        index=["id", "hours"], columns="Parameter", values="Value", aggfunc="mean"
    )
    static = measured[described].pivot_table(index="id", columns="Parameter", values="Value", aggfunc="first")
    wide.columns = wide.columns.str.lower()
    return wide.reset_index().merge(static.rename(columns=DESCRIPTORS).reset_index(), on="id", how="left")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="directory that holds physionet2012/")
    parser.add_argument("--set", choices=("a", "b"), default="a")
    parser.add_argument("--stays", type=int, default=500)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    archive = asked.root / "physionet2012" / f"set-{asked.set}.tar.gz"
    wide = table(records(archive, asked.stays))
    wide.to_csv(asked.out, index=False, float_format="%.6g")
    features = wide.columns.difference(["id", "hours", *DESCRIPTORS.values()])
    missing = wide[features].isna().to_numpy().mean()
    print(
        f"{asked.out}: {wide['id'].nunique()} stays, {len(wide)} rows, {len(features)} features, "
        f"{missing:.1%} missing"
    )


if __name__ == "__main__":
    main()
