"""Runs the Python and R examples of a page, each in a process of its own, in a folder that holds `curvefleet-data`.

    python examples.py docs/artifacts.md FOLDER

Every Parquet file of a study but its parts, the report's tables among them, must open in pandas, Polars and DuckDB with as many rows.
Examples that give a `curve` or a `curve_map` must give the same one, whatever tool they use. R examples that want a package which is
not installed are skipped by name.
"""

import json
import pathlib
import re
import subprocess
import sys

TOLERANCE = 1e-12
# What an example leaves behind, told after its own last line.
TELL_PYTHON = """
import json as _json, numpy as _numpy
print("\\n@@" + _json.dumps({name: _numpy.asarray(globals()[name]).tolist() for name in ("curve", "curve_map") if name in globals()}))
"""
TELL_R = """
told <- sapply(intersect(c("curve", "curve_map"), ls()), function(name) {
  value <- get(name)
  rows <- if (is.matrix(value)) apply(value, 1, function(row) sprintf("[%s]", paste(format(row, digits = 17), collapse = ",")))
  sprintf('"%s":[%s]', name, paste(if (is.null(rows)) format(value, digits = 17) else rows, collapse = ","))
})
cat("\\n@@{", paste(told, collapse = ","), "}\\n", sep = "")
"""


def missing_package(code):
    """The R package that an example wants and that is not there."""
    for name in re.findall(r"library\((\w+)\)", code):
        found = subprocess.run(["Rscript", "-e", f"quit(status = !requireNamespace('{name}', quietly = TRUE))"], capture_output=True)
        if found.returncode != 0:
            return name
    return None


def run(language, code, folder):
    """Runs an example; gives what it left behind, or None where it was skipped."""
    if language == "r":
        try:
            absent = missing_package(code)
        except FileNotFoundError:
            print("skipped: the R example, because there is no Rscript")
            return None
        if absent:
            print(f"skipped: the R example that wants the package {absent}, which is not installed")
            return None
        command = ["Rscript", "-e", code + TELL_R]
    else:
        command = [sys.executable, "-c", code + TELL_PYTHON]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if found.returncode != 0:
        sys.exit(f"this example fails:\n{code}\n{found.stdout}{found.stderr}")
    shown, _, told = found.stdout.rpartition("@@")
    print(shown.rstrip())
    return json.loads(told)


def open_tables(folder):
    """Opens manifests and tables with each tool."""
    import duckdb
    import pandas
    import polars

    tables = [path for path in pathlib.Path(folder, "curvefleet-data").rglob("*.parquet") if path.parent.name in ("tables", "quickstart")]
    if not any(path.parent.name == "tables" for path in tables):
        sys.exit(f"{folder} has no report's tables")
    for path in tables:
        of_duckdb = duckdb.sql(f"FROM '{path}'").df()
        shapes = {pandas.read_parquet(path).shape, polars.read_parquet(path).shape, of_duckdb.shape}
        if len(shapes) != 1:
            sys.exit(f"{path} has other rows or columns in pandas, Polars and DuckDB: {shapes}")
    print(f"{len(tables)} tables open in pandas, Polars and DuckDB")


def flat(values):
    return [number for value in values for number in flat(value)] if isinstance(values, list) else [values]


def main(page, folder):
    blocks = re.findall(r"^```(python|r)\n(.*?)^```$", pathlib.Path(page).read_text(), re.MULTILINE | re.DOTALL)
    open_tables(folder)
    told = [(language, run(language, code, folder)) for language, code in blocks]
    for name in ("curve", "curve_map"):
        given = [flat(left[name]) for _, left in told if left and name in left]
        if len(given) < 3:
            sys.exit(f"only {len(given)} examples give a {name}, too few to compare")
        first = given[0]
        for other in given[1:]:
            if len(first) != len(other) or any(abs(a - b) > TOLERANCE for a, b in zip(first, other)):
                sys.exit(f"two examples give a different {name}")
        print(f"{len(given)} examples give the same {name} of {len(first)} numbers")
    passed = sum(left is not None for _, left in told)
    print(f"{passed} examples passed, {len(told) - passed} skipped")


if __name__ == "__main__":
    main(*sys.argv[1:])
