"""The Python samples as the guide of Lookout for Vision prints them."""

from __future__ import annotations

from tests.acceptance.guides import Guide, Repair

#: Line of the guide with the first line of each sample. Two are not here: PY-11 needs a font of another system and a
#: Pillow of 2022, PY-12 divides a text by a number. ``samples.py`` does what they do.
SAMPLES: dict[str, int] = {
    "PY-01": 724,
    "PY-02": 1819,
    "PY-03": 2530,
    "PY-04": 2865,
    "PY-05": 3299,
    "PY-06": 3556,
    "PY-07": 4220,
    "PY-08": 4472,
    "PY-09": 4671,
    "PY-10a": 4903,
    "PY-10b": 4995,
    "PY-10c": 5123,
    "PY-13": 6239,
    "PY-14": 8051,
    "PY-15": 8195,
    "PY-16": 8293,
    "PY-17": 8451,
    "PY-18": 8770,
    "PY-19": 9265,
    "PY-20": 8900,
    "PY-21": 9382,
}

REPAIRS: dict[str, Repair] = {
    "PY-02": Repair(join=(1831,)),
    "PY-03": Repair(
        {
            (2590, 2604): 12,
            (2606, 2612): 4,
            (2635, 2646): 8,
            (2648, 2666): 12,
            (2668, 2673): 4,
            (2683, 2694): 4,
            (2729, 2737): 4,
        },
        glue=(2659,),
    ),
    "PY-04": Repair({(2907, 2925): 8, (2927, 2931): 4, (2933, 2935): 4}, join=(2929,)),
    # Printed as part of ``else``, line 3369 would never end the loop of a training that succeeds.
    "PY-05": Repair({(3335, 3368): 8, (3369, 3369): 4, (3370, 3374): 4}, join=(3345,)),
    "PY-07": Repair({(4254, 4287): 8, (4288, 4290): 4}),
    "PY-08": Repair({(4494, 4515): 8, (4517, 4519): 4, (4520, 4522): 4}),
    "PY-09": Repair({(4682, 4704): 4}),
    "PY-10a": Repair(join=(4923, 4926)),
    "PY-10b": Repair(join=(5021, 5028, 5030, 5032)),
    "PY-10c": Repair({(5153, 5160): 4}, join=(5143, 5155)),
    "PY-13": Repair({(6303, 6307): 4}),
    "PY-14": Repair({(8085, 8094): 8, (8096, 8096): 12, (8097, 8100): 4}, join=(8073,)),
    "PY-15": Repair({(8206, 8213): 4}, join=(8209,)),
    "PY-16": Repair(join=(8315, 8317, 8319, 8321)),
    "PY-17": Repair(join=(8491, 8500, 8507, 8514, 8521, 8527, 8534)),
    "PY-18": Repair({(8775, 8798): 4}),
    "PY-19": Repair(join=(9275,)),
    "PY-20": Repair({(9024, 9055): 4, (9070, 9111): 4, (9117, 9142): 4, (9162, 9177): 4}, join=(9050,)),
    "PY-21": Repair(join=(9403,)),
}

TYPOS: dict[str, dict[int, tuple[str, str]]] = {
    "PY-05": {3323: ('""").', '"").')},
    "PY-13": {6301: ('"""', "")},  # printed at the end of one page and the begin of the next
    "PY-14": {8074: ("]:", "")},
    "PY-17": dict.fromkeys((8514, 8521, 8527), ('."))', '.")')),
    "PY-20": {9020: ('"""', "")},  # the docstring goes on
}

_GUIDE = Guide("*dbb69dbfe47e65cc*.txt", SAMPLES, REPAIRS, TYPOS)
guide, source, untouched = _GUIDE.guide, _GUIDE.source, _GUIDE.untouched
