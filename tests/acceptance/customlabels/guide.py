"""The Python samples as the guide of Custom Labels prints them."""

from __future__ import annotations

from tests.acceptance.guides import Guide, Repair

#: Line of the guide with the first line of each sample: all of them. What they ask for beside boto3 is in
#: ``printed.lock`` (P-09 draws a table with pandas, P-29 reads a video with OpenCV) or made by ``printed.py`` (P-12
#: wants a font of another system and a program that shows pictures).
SAMPLES: dict[str, int] = {
    "P-00": 527,
    "P-01": 633,
    "P-02": 1969,
    "P-03": 2590,
    "P-04": 3684,
    "P-05": 3872,
    "P-06": 4064,
    "P-07": 4912,
    "P-08": 5786,
    "P-09": 7634,
    "P-10": 8092,
    "P-11": 8525,
    "P-12": 9049,
    "P-13": 10250,
    "P-14": 10549,
    "P-15": 10908,
    "P-16": 11307,
    "P-17": 11672,
    "P-18": 12058,
    "P-19": 12312,
    "P-20": 12593,
    "P-21": 13028,
    "P-22": 13354,
    "P-23": 13798,
    "P-24": 13976,
    "P-25": 14436,
    "P-26": 14799,
    "P-27": 15224,
    "P-28": 15505,
    "P-29": 15815,
    "P-30": 16052,
    "P-31": 16193,
}

REPAIRS: dict[str, Repair] = {
    "P-02": Repair({(1989, 2002): 4, (2033, 2041): 4}),
    # Printed as part of the ``if`` before, lines 2671 to 2674 would never be reached.
    "P-03": Repair(
        {(2651, 2669): 12, (2671, 2674): 8, (2676, 2676): 8, (2678, 2681): 4, (2696, 2707): 4},
        join=(2667, 2672, 2691, 2698, 2721),
        glue=(2592, 2593),
    ),
    "P-04": Repair({(3792, 3792): 4}, join=(3741,), glue=(3793,)),
    # The line of JSON is written after the loop over labels, in the one over lines.
    "P-05": Repair({(3901, 3936): 4, (3941, 3950): 8, (3951, 3956): 4}, join=(3903,), glue=(3936, 3942, 3946, 3948)),
    # Printed outside of the loop over labels, lines 4184 to 4198 would leave the last label alone.
    "P-06": Repair(
        {
            (4099, 4141): 4,
            (4145, 4145): 4,
            (4184, 4187): 4,
            (4191, 4198): 12,
            (4200, 4202): 8,
            (4204, 4208): 4,
            (4235, 4267): 8,
            (4269, 4271): 4,
        },
        join=(4256,),
    ),
    "P-07": Repair(
        {(4945, 4985): 8, (4989, 4996): 4, (4998, 5001): 4, (5035, 5037): 4, (5076, 5076): 8},
        join=(4978, 5011, 5020, 5025, 5051),
        glue=(4914, 4915),
    ),
    "P-09": Repair(
        {(7667, 7704): 4, (7711, 7728): 4, (7800, 7807): 8, (7809, 7817): 4},
        join=(7684, 7785, 7803),
        glue=(7694, 7696),
    ),
    "P-10": Repair({(8219, 8227): 8, (8229, 8237): 4}, join=(8188, 8195, 8199)),
    "P-11": Repair({(8574, 8616): 4, (8666, 8666): 4}, join=(8628,)),
    "P-12": Repair(
        {
            (9080, 9116): 4,
            (9126, 9166): 4,
            (9172, 9214): 4,
            (9219, 9228): 12,
            (9230, 9238): 8,
            (9240, 9244): 4,
            (9310, 9317): 4,
        },
        join=(9096, 9151, 9194, 9258, 9265),
    ),
    "P-13": Repair({(10294, 10332): 4, (10338, 10345): 4}),
    "P-14": Repair({(10604, 10627): 4, (10649, 10667): 8, (10669, 10672): 4}, join=(10637,)),
    "P-15": Repair(
        {(10932, 10974): 4, (11024, 11033): 4},
        join=(10967, 10972, 10993, 10998, 11013),
    ),
    # As in P-03: lines 11381 to 11384.
    "P-16": Repair(
        {(11351, 11379): 8, (11381, 11390): 4, (11439, 11445): 4},
        join=(11377, 11382, 11410, 11425),
    ),
    "P-17": Repair(
        {
            (11700, 11743): 4,
            (11747, 11750): 8,
            (11752, 11757): 4,
            (11759, 11762): 4,
            (11791, 11818): 4,
        },
        join=(11748, 11753, 11772, 11777, 11800),
        glue=(11674, 11675),
    ),
    "P-18": Repair({(12112, 12113): 4}, glue=(12102,)),
    "P-19": Repair({(12337, 12367): 4, (12383, 12390): 4}, join=(12389,)),
    "P-20": Repair(
        {(12625, 12653): 8, (12655, 12655): 4, (12671, 12706): 4, (12717, 12725): 4, (12762, 12764): 4},
        join=(12652, 12674, 12686, 12692, 12698, 12701, 12719, 12724, 12741),
    ),
    "P-21": Repair({(13078, 13085): 4, (13126, 13126): 8}),
    "P-22": Repair({(13394, 13418): 8, (13420, 13423): 4, (13438, 13441): 4}, join=(13408, 13433, 13440)),
    # Printed one step further, ``else`` in line 13915 would be the loop's: no matches, whatever was found.
    "P-23": Repair({(13852, 13870): 12, (13872, 13877): 4, (13899, 13914): 4, (13918, 13918): 4}),
    "P-24": Repair(
        {(14031, 14033): 8, (14034, 14037): 4, (14076, 14105): 4},
        join=(14009, 14018, 14041, 14045, 14066, 14085, 14096),
        glue=(14025, 14033, 14037),
    ),
    # Printed as part of ``else``, line 14500 would leave a new policy without a revision.
    "P-25": Repair(
        {(14469, 14498): 4, (14502, 14510): 4, (14513, 14515): 4, (14557, 14573): 8, (14575, 14576): 4},
        join=(14537, 14572),
    ),
    "P-26": Repair({(14832, 14875): 4, (14883, 14883): 4}, join=(14861, 14899, 14920, 14939), glue=(14864,)),
    "P-27": Repair({(15265, 15293): 4, (15310, 15331): 4}, join=(15303,)),
    "P-28": Repair({(15563, 15575): 4, (15608, 15628): 8, (15629, 15630): 4}, join=(15585, 15590, 15595)),
    "P-29": Repair({(15856, 15856): 4, (15858, 15868): 8, (15870, 15875): 4, (15901, 15909): 8, (15911, 15912): 4}),
    "P-30": Repair({(16097, 16138): 4, (16148, 16149): 4}, join=(16108,)),
    "P-31": Repair({(16256, 16260): 4, (16299, 16299): 4}),
}

TYPOS: dict[str, dict[int, tuple[str, str]]] = {
    "P-03": {2698: ('")', '"')},  # the parenthesis is closed once more in the next line; so twice below
    "P-06": {4095: ('"""', "")},  # the docstring goes on; so twice below
    "P-09": dict.fromkeys((7693, 7695), ("S3object", "S3Object")),  # no answer has the member as it is printed
    "P-12": {9076: ('"""', "")},
    "P-13": {10292: ('"""', "")},  # printed at the end of one page and the begin of the next
    "P-15": {10998: ('")', '"')},
    "P-17": {11713: ("'\"' }'", "'\" }'"), 11777: ('")', '"')},
    "P-25": {14465: ('"""', "")},
    "P-30": {16103: ("}", "")},
    "P-31": {16232: ("S3object", "S3Object")},  # the function of P-30 looks for the other
}

_GUIDE = Guide("*4292320e13550149*.txt", SAMPLES, REPAIRS, TYPOS)
guide, source, untouched = _GUIDE.guide, _GUIDE.source, _GUIDE.untouched
