"""A small ridge logistic regression by Newton's method, and what tells whether it is any good."""

import math
import random


def sigmoid(x):
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x)
    return e / (1 + e)


def _solve(matrix, right):
    """Solves a positive definite system by elimination; both are overwritten."""
    n = len(right)
    for i in range(n):
        for j in range(i + 1, n):
            share = matrix[j][i] / matrix[i][i]
            if share:
                for k in range(i, n):
                    matrix[j][k] -= share * matrix[i][k]
                right[j] -= share * right[i]
    for i in reversed(range(n)):
        right[i] = (right[i] - sum(matrix[i][k] * right[k] for k in range(i + 1, n))) / matrix[i][i]
    return right


def _newton_step(rows, labels, beta, ridge):
    n = len(beta)
    gradient = [-ridge * b if i else 0.0 for i, b in enumerate(beta)]
    hessian = [[ridge if i == j and i else 0.0 for j in range(n)] for i in range(n)]
    for x, label in zip(rows, labels):
        p = sigmoid(sum(b * v for b, v in zip(beta, x)))
        slack, curve = label - p, p * (1 - p)
        for i in range(n):
            gradient[i] += slack * x[i]
            weighted, line = curve * x[i], hessian[i]
            for j in range(i, n):
                line[j] += weighted * x[j]
    for i in range(n):
        for j in range(i):
            hessian[i][j] = hessian[j][i]
    return _solve(hessian, gradient)


def fit(rows, labels, ridge):
    """(intercept, weights) for rows as they are. Inside, columns have mean 0 and deviation 1, for the ridge."""
    columns = list(zip(*rows))
    means = [sum(c) / len(c) for c in columns]
    spreads = [math.sqrt(sum((v - m) ** 2 for v in c) / len(c)) or 1.0 for c, m in zip(columns, means)]
    scaled = [[1.0] + [(v - m) / s for v, m, s in zip(row, means, spreads)] for row in rows]
    beta = [0.0] * (len(means) + 1)
    for _ in range(50):
        step = _newton_step(scaled, labels, beta, ridge)
        beta = [b + d for b, d in zip(beta, step)]
        if max(abs(d) for d in step) < 1e-9:
            break
    weights = [b / s for b, s in zip(beta[1:], spreads)]
    return beta[0] - sum(w * m for w, m in zip(weights, means)), weights


def auc(scores, labels):
    """The chance that a positive scores above a negative, ties counting half."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    rank_sum, at = 0.0, 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        rank_sum += (at + 1 + end) / 2 * sum(labels[i] for i in order[at:end])
        at = end
    positives = sum(labels)
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def auc_interval(scores, labels, seed, rounds=400):
    """The middle 95 % of the AUC over samples drawn with replacement."""
    rng = random.Random(seed)
    found = []
    for _ in range(rounds):
        drawn = rng.choices(range(len(scores)), k=len(scores))
        found.append(auc([scores[i] for i in drawn], [labels[i] for i in drawn]))
    found.sort()
    return found[int(0.025 * rounds)], found[int(0.975 * rounds)]


def log_loss(probabilities, labels):
    return -sum(math.log(p if y else 1 - p) for p, y in zip(probabilities, labels)) / len(labels)


def brier(probabilities, labels):
    return sum((p - y) ** 2 for p, y in zip(probabilities, labels)) / len(labels)
