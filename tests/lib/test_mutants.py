"""The list of mutants is up to date, and the command that replays it can fail."""
from __future__ import annotations

import pytest

from tests import mutants
from tests.mutants import MUTANTS, PROJECTION, ROOT, Mutant, P


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.note)
def test_a_mutant_stands_once_in_its_file_and_names_tests_that_exist(mutant):
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1 and mutant.new != mutant.old
    if mutant.file.endswith(".py"):
        compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text() if name else (ROOT / file).exists()


def test_a_bug_that_no_test_notices_fails_the_command(monkeypatch, capsys):
    harmless = Mutant(PROJECTION, "only a comment", "# eigenvalues ascend", "# eigenvalues rise",
                      (f"{P}::test_ends_in_matches_whole_components",))
    stale = Mutant(PROJECTION, "not in the file", "no such line", "", harmless.tests)
    broken = Mutant(PROJECTION, "does not compile", "def ends_in(", "def ends_in((", harmless.tests)
    monkeypatch.setattr(mutants, "MUTANTS", [harmless, stale, broken])
    assert mutants.main([]) == 1
    said = capsys.readouterr().out
    assert "SURVIVED" in said and "stands 0 times" in said and said.count("NOT TESTED") == 2 and "3 of 3 rows" in said


def test_words_that_match_no_row_are_an_error():
    with pytest.raises(SystemExit, match="no row holds one of nothing-at-all"):
        mutants.main(["nothing-at-all"])
