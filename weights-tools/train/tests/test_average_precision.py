"""Average precision against cases worked out by hand, and against pycocotools where it is installed."""
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from average_precision import average_precision, summary

BOX, AWAY = (0, 0, 10, 10), (50, 50, 60, 60)


class AveragePrecisionTests(unittest.TestCase):
    def ap50(self, detections, truths, label=0):
        return average_precision(detections, truths)[label][0]

    def test_perfect_and_empty(self):
        self.assertEqual(1, self.ap50([(0, 0, .9, BOX)], [(0, 0, BOX)]))
        self.assertEqual(0, self.ap50([], [(0, 0, BOX)]))

    def test_a_false_one_before_the_right_one_halves_precision(self):
        self.assertAlmostEqual(.5, self.ap50([(0, 0, .9, AWAY), (0, 0, .8, BOX)], [(0, 0, BOX)]))
        self.assertAlmostEqual(1, self.ap50([(0, 0, .7, AWAY), (0, 0, .8, BOX)], [(0, 0, BOX)]))

    def test_half_the_objects_give_the_recall_points_up_to_half(self):
        # Recall 0.5 is reached at precision 1: points 0, 0.01 … 0.50 of 101.
        self.assertAlmostEqual(51 / 101, self.ap50([(0, 0, .9, BOX)], [(0, 0, BOX), (1, 0, BOX)]))

    def test_a_second_detection_of_an_object_is_false(self):
        # Precisions 1, 1/2, 2/3: the last one lifts what is before it.
        found = [(0, 0, .9, BOX), (0, 0, .8, BOX), (0, 0, .7, AWAY)]
        self.assertAlmostEqual((51 + 50 * 2 / 3) / 101, self.ap50(found, [(0, 0, BOX), (0, 0, AWAY)]))

    def test_thresholds_of_overlap(self):
        # 10 x 7 of 10 x 10: an overlap of 0.7 counts for 0.50, 0.55, 0.60, 0.65 and 0.70.
        per = average_precision([(0, 0, .9, (0, 0, 10, 7))], [(0, 0, BOX)])[0]
        self.assertEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [round(v) for v in per])

    def test_a_detection_where_the_class_is_not_counts_against_it(self):
        self.assertAlmostEqual(.5, self.ap50([(1, 0, .9, BOX), (0, 0, .8, BOX)], [(0, 0, BOX)]))

    def test_equal_to_pycocotools(self):
        try:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        except ImportError:
            self.skipTest("pycocotools is not installed")
        rng = random.Random(3)
        box = lambda: (lambda x, y: (x, y, x + rng.randint(5, 60), y + rng.randint(5, 60)))(rng.randint(0, 99), rng.randint(0, 99))
        truths = [(rng.randrange(20), rng.randrange(4), box()) for _ in range(120)]
        near = lambda b: tuple(v + rng.choice([-3, -1, 0, 0, 1, 4]) for v in b)
        found = [(i, c if rng.random() < .8 else rng.randrange(4), rng.random(), near(b)) for i, c, b in truths for _ in range(rng.randint(0, 2))]
        coco = COCO()
        wide = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]
        coco.dataset = {"info": {}, "images": [{"id": i} for i in range(20)], "categories": [{"id": c} for c in range(4)], "annotations": [
            {"id": n + 1, "image_id": i, "category_id": c, "bbox": wide(b), "area": wide(b)[2] * wide(b)[3], "iscrowd": 0}
            for n, (i, c, b) in enumerate(truths)]}
        coco.createIndex()
        results = coco.loadRes([{"image_id": i, "category_id": c, "score": s, "bbox": wide(b)} for i, c, s, b in found])
        evaluation = COCOeval(coco, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        ap50, ap = summary(found, truths)
        self.assertAlmostEqual(evaluation.stats[1], ap50, 9)
        self.assertAlmostEqual(evaluation.stats[0], ap, 9)


if __name__ == "__main__":
    unittest.main()
