"""Which characters look alike."""

from __future__ import annotations

from collections import defaultdict

_GROUPS = (
    *("0OoQD〇○", "1Ili|!", "2Zz", "4A", "5Ss", "6Gb", "7T", "8B", "9gq"),
    *("ce", "hn", "uv", "ft", "PR"),
    *(
        "己已巳",
        "未末",
        "日曰",
        "土士",
        "人入八",
        "天夭",
        "干千于",
        "大太犬",
        "王玉",
        "木本",
        "免兔",
        "鸟乌",
        "戊戌戍戎",
    ),
    *(
        "侯候",
        "析折拆",
        "园圆",
        "晴睛",
        "拔拨",
        "竞竟",
        "历厉",
        "治冶",
        "令今",
        "牛午",
        "失矢",
        "田由甲申",
        "刀力",
        "贝见",
    ),
    *(
        "目自",
        "住往",
        "辩辨",
        "撒撤",
        "准淮",
        "毫亳",
        "祟崇",
        "茶荼",
        "洒酒",
        "陈阵",
        "凤风",
        "帅师",
        "孟盂",
        "徒徙",
        "炙灸",
    ),
    *(
        "汨汩",
        "杨扬",
        "汤场",
        "坡玻",
        "订汀",
        "诲海",
        "侍待",
        "广厂",
        "乒乓",
        "小少",
        "亨享",
        "幻幼",
        "壶壸",
        "蓝篮",
        "第弟",
    ),
)
PAIRS = {"rn": "m", "cl": "d", "vv": "w", "ii": "u", "nn": "m"}
"""Two letters that look like one."""


def _by_character() -> dict[str, str]:
    found: defaultdict[str, str] = defaultdict(str)
    for group in _GROUPS:
        for character in group:
            found[character] += group.replace(character, "")
    return dict(found)


LOOKALIKES = _by_character()
"""Others that look like a character, most like it first."""
