"""Average precision as COCO defines it: 101 recall points, greedy matching by score, at most 100 detections an image."""
import numpy as np

THRESHOLDS = np.linspace(.5, .95, 10)
RECALLS = np.linspace(0, 1, 101)


def _iou(box, others):
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return common / (area(box) + area(others) - common)


def average_precision(detections, truths, thresholds=THRESHOLDS):
    """detections: (image, class, score, (x1, y1, x2, y2)); truths: (image, class, box). -> {class: AP per threshold}"""
    boxes, found = {}, {}
    for image, label, box in truths:
        boxes.setdefault(label, {}).setdefault(image, []).append(box)
    for image, label, score, box in detections:
        found.setdefault(label, {}).setdefault(image, []).append((score, box))
    result = {}
    for label, images in boxes.items():
        scores, hits = [], []
        for image, list_ in found.get(label, {}).items():
            list_ = sorted(list_, key=lambda d: -d[0])[:100]
            truth = np.array(images.get(image, []), float).reshape(-1, 4)
            free = np.ones((len(thresholds), len(truth)), bool)
            for score, box in list_:
                overlap = _iou(np.array(box, float), truth)
                hit = np.zeros(len(thresholds), bool)
                for t, threshold in enumerate(thresholds):
                    usable = free[t] & (overlap >= min(threshold, 1 - 1e-10))
                    if usable.any():
                        best = len(truth) - 1 - np.argmax(np.where(usable, overlap, -1)[::-1])
                        free[t, best], hit[t] = False, True
                scores.append(score)
                hits.append(hit)
        total = sum(map(len, images.values()))
        if not scores:
            result[label] = np.zeros(len(thresholds))
            continue
        order = np.argsort(-np.array(scores), kind="mergesort")
        right = np.cumsum(np.array(hits)[order], 0)
        recall, precision = right / total, right / np.arange(1, len(order) + 1)[:, None]
        precision = np.maximum.accumulate(precision[::-1], 0)[::-1]
        per = []
        for t in range(len(thresholds)):
            at = np.searchsorted(recall[:, t], RECALLS, side="left")
            per.append(np.mean([precision[i, t] if i < len(order) else 0 for i in at]))
        result[label] = np.array(per)
    return result


def summary(detections, truths):
    """-> AP50 and AP, means over the classes that occur"""
    per = np.array(list(average_precision(detections, truths).values()))
    return float(per[:, 0].mean()), float(per.mean())
