"""Writes text_metrics.json: what the reference packages score, for the Rust metrics to reproduce.

Run: python tests/golden/text_metrics.py > tests/golden/text_metrics.json
With an argument N, writes N random pairs instead of the committed ones.
Needs: rouge==1.0.1 rouge-score==0.1.2 nltk rapidfuzz jieba==0.42.1
"""

import difflib
import json
import random
import sys
import unicodedata
from collections import Counter

import jieba
from nltk.stem.porter import PorterStemmer
from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

BASES = """relat condition valenc digit conform radical differ vile analog vietnam operat feudal
decis hope callous formal sensit triplic electr good reviv allow infer airlin gyroscop adjust
defens irrit replac depend adopt homolog commun activ angular bowdler probat ceas control roll
plaster agre bl motor s f hopp tann fall hiss fizz fail fil happ sk enjo sp cr appl troubl siz
conflat theor apolog logi biolog skill wonderful bas us is ab y yy sayi ty di li ti pol al ali
ann bann succe proce exce gener univers organ nation ration""".split()
SUFFIXES = """s es ies sses ed eed ied ing ings y ly ily e er ers est ion ional ational ation
ator izer ization ize alism ality aliti iviti ivity iveness fulness ousness ously ental entli
ently alli ally fully fulli logi logy bli ably bility biliti icate ative alize icity ical ful
ness ance ence ic able ible ant ement ment ent ou ism ate iti ous ive ll lled yed ying""".split()
IRREGULAR = "sky skies dying lying tying news innings outing cannings howe proceed succeeded ties ies ied".split()
WORDS = """the cat sat on a mat The Cat dog runs running ran easily 3.14 U.S. time, times end.
nation national rational relational "quoted" déjà naïve it's well-known hopeful hopefulness
alpha beta gamma delta one two three. four five. six""".split()
CHINESE = [
    ("北京是中国的首都。", "中国的首都是北京"),
    ("他在二零二三年毕业于清华大学，现在在上海工作。", "他毕业于清华大学。"),
    ("人工智能正在改变世界", "世界正在被人工智能（AI）改变！"),
    ("今天天气很好，我们去公园散步吧", "我们今天去公园"),
    ("没有答案", "段落5"),
    ("The answer is 北京 2008 Olympics.", "2008年北京奥运会"),
    ("", "空"),
    ("，。！", "。"),
]


def overlap(score):
    return [score["p"], score["r"], score["f"]]


def pair(pred, gold):
    try:
        scores = Rouge().get_scores([pred], [gold])[0]
        pltrdy = {name: overlap(scores[name]) for name in ("rouge-1", "rouge-2", "rouge-l")}
    except ValueError:
        pltrdy = None
    google = {}
    for stem in (False, True):
        kinds = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
        scores = RougeScorer(kinds, use_stemmer=stem).score(gold, pred)
        google["porter" if stem else "none"] = {kind: list(s) for kind, s in scores.items()}
    return {
        "pred": pred,
        "gold": gold,
        "pltrdy": pltrdy,
        **google,
        "indel": fuzz.ratio(pred, gold),
        "levenshtein": Levenshtein.normalized_similarity(pred, gold),
        "difflib": difflib.SequenceMatcher(None, pred, gold).ratio(),
    }


def chinese(pred, gold):
    """Bag-of-words F1 without punctuation, and ROUGE-L of the segmented texts; 0 if it fails."""
    words = [list(jieba.cut(pred)), list(jieba.cut(gold))]
    plain = [
        Counter(w.lower() for w in side if not unicodedata.category(w[0]).startswith("P"))
        for side in words
    ]
    plain = [Counter({w: n for w, n in side.items() if w.strip()}) for side in plain]
    same = (plain[0] & plain[1]).total()
    p, r = (same / max(1, side.total()) for side in plain)
    try:
        rouge_l = Rouge().get_scores([" ".join(words[0])], [" ".join(words[1])])[0]["rouge-l"]["f"]
    except ValueError:
        rouge_l = 0.0
    return {
        "pred": pred,
        "gold": gold,
        "pred_words": words[0],
        "gold_words": words[1],
        "f1": 2 * p * r / (p + r) if same else 0.0,
        "rouge_l": rouge_l,
    }


def text(rng, words):
    ends = [" "] * 12 + [". ", ".", "\n", " \n ", ".\n", "  "]
    return "".join(rng.choice(WORDS) + rng.choice(ends) for _ in range(words))


def random_pair(rng):
    gold = text(rng, rng.randint(0, 60))
    if rng.random() < 0.5:
        return pair(text(rng, rng.randint(0, 60)), gold)
    kept = "".join(c for c in gold if rng.random() < 0.9)
    return pair(kept, gold)


def main():
    rng = random.Random(7)
    if len(sys.argv) > 1:
        return {"pairs": [random_pair(rng) for _ in range(int(sys.argv[1]))]}
    porter = PorterStemmer()
    words = sorted({b + s for b in BASES for s in rng.sample(SUFFIXES, 8)} | set(IRREGULAR))
    return {
        "stems": {word: porter.stem(word) for word in words},
        "pairs": [random_pair(rng) for _ in range(12)],
        "chinese": [chinese(p, g) for p, g in CHINESE],
    }


json.dump(main(), sys.stdout, indent=None, ensure_ascii=False, separators=(",", ":"))
print()
