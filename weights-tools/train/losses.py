"""Assignment of objects to cells (ATSS) and the losses of GLIP's head; detections as the original selects them."""
import torch
import torch.nn.functional as F

from kernels import token_loss
from model import anchors, decode

CANDIDATES = 9  # of each object on each level


def iou(a, b):
    """[N, 4], [M, 4] -> [N, M]; boxes include their last pixel"""
    low, high = torch.max(a[:, None, :2], b[None, :, :2]), torch.min(a[:, None, 2:], b[None, :, 2:])
    common = (high - low + 1).clamp(min=0).prod(-1)
    area = lambda t: (t[:, 2] - t[:, 0] + 1) * (t[:, 3] - t[:, 1] + 1)
    return common / (area(a)[:, None] + area(b)[None] - common)


def assign(objects, cells, level_sizes):
    """ATSS: index of the object for every cell, -1 for none. objects [G, 4], cells [N, 4] anchors"""
    if not len(objects):
        return torch.full((len(cells),), -1)
    overlap = iou(cells, objects)
    object_centre, cell_centre = (objects[:, :2] + objects[:, 2:]) / 2, (cells[:, :2] + cells[:, 2:]) / 2
    distance, near, start = torch.cdist(cell_centre, object_centre), [], 0
    for n in level_sizes:
        near.append(distance[start:start + n].topk(min(CANDIDATES, n), 0, largest=False)[1] + start)
        start += n
    near = torch.cat(near)
    near_overlap = overlap.gather(0, near)
    centre = cell_centre[near]
    inside = torch.cat([centre - objects[:, :2], objects[:, 2:] - centre], -1).amin(-1) > .01
    chosen = inside & (near_overlap >= near_overlap.mean(0) + near_overlap.std(0))
    best = torch.full_like(overlap, -1)
    column = torch.arange(len(objects)).expand_as(near)
    best[near[chosen], column[chosen]] = near_overlap[chosen]
    value, owner = best.max(1)
    owner[value < 0] = -1
    return owner


def giou(p, t):
    """Generalised IoU of pairs of boxes [N, 4]"""
    common = (torch.min(p[:, 2:], t[:, 2:]) - torch.max(p[:, :2], t[:, :2])).clamp(min=0).prod(-1)
    hull = (torch.max(p[:, 2:], t[:, 2:]) - torch.min(p[:, :2], t[:, :2])).prod(-1) + 1e-7
    area = lambda b: (b[:, 2:] - b[:, :2]).prod(-1)
    union = area(p) + area(t) - common + 1e-7
    return common / union - (hull - union) / hull


class Assignment:
    """Cells with an object: image, cell and object of each."""

    def __init__(self, boxes, sizes):
        self.cells, levels = anchors(sizes)
        owners = [assign(b, self.cells, levels) for b in boxes]
        found = [(o >= 0).nonzero()[:, 0] for o in owners]
        self.image = torch.cat([torch.full_like(f, i) for i, f in enumerate(found)])
        self.cell = torch.cat(found)
        self.object = torch.cat([o[f] for o, f in zip(owners, found)])


def detection_losses(output, boxes, meaning, mask):
    """meaning: per image [G, T], 1 where a token means the object. -> token, box, centerness loss, Assignment"""
    logits, deltas, centerness, sizes = output
    a = Assignment(boxes, sizes)
    target = torch.zeros_like(logits)
    per_image = [a.object[a.image == i] for i in range(len(boxes))]
    if len(a.cell):
        target[a.image, a.cell] = torch.cat([m[o] for m, o in zip(meaning, per_image)])
    count = max(1, len(a.cell))
    token = token_loss(logits, target, mask, .25) / count
    if not len(a.cell):
        return token, deltas.sum() * 0, centerness.sum() * 0, a
    truth = torch.cat([b[o] for b, o in zip(boxes, per_image)])
    cells = a.cells[a.cell]
    centre = (cells[:, :2] + cells[:, 2:]) / 2
    before, after = centre - truth[:, :2], truth[:, 2:] - centre
    central = (torch.min(before, after) / torch.max(before, after)).clamp(min=0).prod(-1).sqrt()
    box = 2 * ((1 - giou(decode(deltas[a.image, a.cell], cells), truth)) * central).sum() / central.sum()
    centre_loss = F.binary_cross_entropy_with_logits(centerness[a.image, a.cell], central)
    return token, box, centre_loss, a


@torch.no_grad()
def detect(output, prompts, image_sizes, lowest=.05):
    """Per image: boxes [D, 4], scores [D], phrase indices [D]. image_sizes: (height, width) before padding"""
    from torchvision.ops import batched_nms
    logits, deltas, centerness, sizes = output
    cells, levels = anchors(sizes)
    results = []
    for i, prompt in enumerate(prompts):
        p = logits[i].sigmoid()
        scores = torch.stack([p[:, positions].mean(-1) for _, positions, _ in prompt.phrases], -1)
        boxes, quality = decode(deltas[i], cells), centerness[i].sigmoid()
        kept, start = [], 0
        for n in levels:
            cell, phrase = (scores[start:start + n] > lowest).nonzero(as_tuple=True)
            rank = scores[start + cell, phrase] * quality[start + cell]
            top = rank.topk(min(1000, len(rank)))[1]
            kept.append((start + cell[top], phrase[top], rank[top].sqrt()))
            start += n
        cell, phrase, score = (torch.cat(t) for t in zip(*kept))
        box = boxes[cell]
        h, w = image_sizes[i]
        box = torch.stack([box[:, 0].clamp(0, w - 1), box[:, 1].clamp(0, h - 1), box[:, 2].clamp(0, w - 1), box[:, 3].clamp(0, h - 1)], 1)
        # The original counts the last pixel: widen for the test and take it back.
        best = batched_nms(box + torch.tensor([0, 0, 1, 1]), score, phrase, .6)[:100]
        results.append((box[best], score[best], phrase[best]))
    return results
