"""Computes the answers of independent.json by scipy, statsmodels and numpy, from raw
units where there are any, and not from the sums that are asked with.

    python3 independent.py > independent.json

Made with Python 3, numpy, scipy and statsmodels; no test needs them.
"""
import json
import math

import numpy as np
from scipy import integrate, optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

rng = np.random.default_rng(20261124)
cases = []


def case(method, inputs, expected, tolerance=1e-8):
    cases.append({"name": f"{method} {len(cases)}", "method": method, "inputs": inputs, "expected": expected, "tolerance": tolerance})


def sums(x):
    return {"n": len(x), "sum": float(np.sum(x)), "sum_squares": float(np.sum(x * x))}


def units(n):
    """Amounts of which many are zero, as revenue is."""
    return np.where(rng.random(n) < rng.uniform(0.05, 0.9), rng.lognormal(rng.uniform(-1, 2), 0.7, n), 0.0)


def welch():
    for i in range(20):
        a, b = units(rng.integers(20, 800)), units(rng.integers(20, 800))
        alpha = float(rng.choice([0.01, 0.05, 0.1]))
        t = stats.ttest_ind(b, a, equal_var=False)
        ci = CompareMeans(DescrStatsW(b), DescrStatsW(a)).tconfint_diff(alpha=alpha, usevar="unequal")
        d = float(b.mean() - a.mean())
        case("t_test_two_sided", {"control": sums(a), "treatment": sums(b), "difference": "absolute", "alpha": alpha},
             {"effect": d, "se": d / t.statistic, "p_value": t.pvalue, "ci": list(ci)})
        side = ["greater", "less"][i % 2]
        one = stats.ttest_ind(b, a, equal_var=False, alternative=side)
        bound = one.confidence_interval(1 - alpha)
        case("t_test_one_sided", {"control": sums(a), "treatment": sums(b), "difference": "absolute", "alpha": alpha, "alternative": side},
             {"effect": d, "p_value": one.pvalue, **({"lower": bound.low} if side == "greater" else {"upper": bound.high})})


def relative():
    """The standard error of a relative effect by numerical derivatives of the ratio."""
    for _ in range(20):
        a, b = units(rng.integers(50, 900)), units(rng.integers(50, 900))
        ma, mb, h = a.mean(), b.mean(), 1e-6
        va, vb = stats.sem(a) ** 2, stats.sem(b) ** 2
        f = lambda x, y: (y - x) / abs(x)
        da = (f(ma * (1 + h), mb) - f(ma * (1 - h), mb)) / (2 * h * ma)
        db = (f(ma, mb * (1 + h)) - f(ma, mb * (1 - h))) / (2 * h * mb)
        case("t_test_two_sided", {"control": sums(a), "treatment": sums(b), "difference": "relative"},
             {"effect": f(ma, mb), "se": math.sqrt(da * da * va + db * db * vb)}, 1e-7)
        case("relative_effect", {"mean_control": ma, "mean_treatment": mb}, {"effect": f(ma, mb)})


def sequences():
    """The width of a confidence sequence is where its evidence reaches 1/alpha: found by a
    root, with the mixture integrated numerically."""
    for _ in range(20):
        a, b = units(rng.integers(200, 3000)), units(rng.integers(200, 3000))
        alpha, tuning = float(rng.choice([0.01, 0.05])), float(rng.integers(300, 9000))
        rho = math.sqrt((-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tuning)
        one = math.sqrt((-2 * math.log(2 * alpha) + math.log(1 - 2 * math.log(2 * alpha))) / tuning)
        case("asymptotic_confidence_sequence_rho", {"alpha": alpha, "tuning_N": tuning}, {"rho_two_sided": rho, "rho_one_sided": one})
        n, d = len(a) + len(b), b.mean() - a.mean()
        se = math.sqrt(stats.sem(a) ** 2 + stats.sem(b) ** 2)

        def evidence(x):
            """E exp(theta S - theta^2 n / 2) for theta ~ N(0, rho^2), S = x sqrt(n) / se."""
            s = x / se * math.sqrt(n)
            v, c = n + 1 / rho ** 2, s / (n + 1 / rho ** 2)
            width = 12 / math.sqrt(v)
            top = c * s - c * c * v / 2
            got, _ = integrate.quad(lambda t: math.exp(t * s - t * t * v / 2 - top) / (math.sqrt(2 * math.pi) * rho), c - width, c + width, epsabs=0, epsrel=1e-12, limit=200)
            return math.log(got) + top

        half = optimize.brentq(lambda x: evidence(x) + math.log(alpha), 0, 100 * se, xtol=1e-14 * max(1, se), rtol=1e-13)
        log_e = evidence(d)
        case("asymptotic_confidence_sequence_two_sided",
             {"control": sums(a), "treatment": sums(b), "difference": "absolute", "alpha": alpha, "tuning_N": tuning},
             {"effect": d, "se": se, "ci": [d - half, d + half], "p_value": min(1, math.exp(-log_e))}, 1e-7)


def shares():
    for _ in range(20):
        k = int(rng.integers(2, 6))
        weights = rng.uniform(0.5, 3, k).round(2)
        observed = rng.multinomial(rng.integers(100, 100_000), weights / weights.sum())
        expected = observed.sum() * weights / weights.sum()
        case("srm_chi2", {"observed": observed.tolist(), "weights": weights.tolist()}, {"p_value": stats.chisquare(observed, expected).pvalue})
        null, conc, points = weights / weights.sum(), rng.uniform(0.5, 5, k), rng.multinomial(1, weights / weights.sum(), 12)
        m1, m0, seen = [], [], np.zeros(k)
        for p in points:  # the predictive probability of each next point, one after the other
            j = int(np.argmax(p))
            step = math.log((conc[j] + seen[j]) / (conc.sum() + seen.sum()))
            m1.append((m1[-1] if m1 else 0) + step)
            m0.append((m0[-1] if m0 else 0) + math.log(null[j]))
            seen[j] += 1
        case("sequential_srm_dirichlet_multinomial", {"points": points.tolist(), "null": null.tolist(), "dirichlet_alpha": conc.tolist()}, {"log_m1": m1, "log_m0": m0})


def many():
    for _ in range(20):
        p = np.round(rng.beta(0.4, 1.5, rng.integers(2, 15)), 6).tolist()
        case("holm", {"p": p}, {"adjusted": multipletests(p, method="holm")[1].tolist()})
        case("bh_fdr", {"p": p}, {"adjusted": multipletests(p, method="fdr_bh")[1].tolist()})


def cuped():
    for _ in range(20):
        n = [int(rng.integers(30, 500)), int(rng.integers(30, 500))]
        pre = [units(k) for k in n]
        post = [0.6 * x + units(len(x)) for x in pre]
        # Pooled over arms by their own means.
        arms = []
        for x, y in zip(pre, post):
            arms.append((np.cov(y, x)[0, 1], np.var(x, ddof=1)))
        theta = sum(c for c, _ in arms) / sum(v for _, v in arms)
        adjusted = [y - theta * x for x, y in zip(pre, post)]
        d = adjusted[1].mean() - adjusted[0].mean()
        se = math.sqrt(sum(stats.sem(z) ** 2 for z in adjusted))
        args = []
        for x, y in zip(pre, post):
            args += [len(x), [float(y.sum()), float((y * y).sum())], [float(x.sum()), float((x * x).sum())], float((x * y).sum())]
        case("cuped", {"args": args, "theta": theta}, {"abs_effect": d, "abs_se": se}, 1e-7)


def bayes():
    for _ in range(20):
        a, b = units(rng.integers(100, 2000)), units(rng.integers(100, 2000))
        d = b.mean() - a.mean()
        s = math.sqrt(stats.sem(a) ** 2 + stats.sem(b) ** 2)
        post = stats.norm(d, s)
        loss = [post.expect(lambda x: max(x, 0), lb=0, epsabs=1e-14), post.expect(lambda x: max(-x, 0), ub=0, epsabs=1e-14)]
        case("bayesian_gaussian_effect", {"control": sums(a), "treatment": sums(b), "difference": "absolute", "prior": "improper flat", "alpha": 0.05},
             {"expected": d, "sd": s, "chance_to_win": post.sf(0), "ci": list(post.interval(0.95)), "risk": loss}, 1e-6)
        mu, sigma = float(rng.normal(0, 0.1)), float(rng.uniform(0.01, 0.2))
        post = stats.norm(mu, sigma)
        case("expected_loss", {"mu": mu, "sigma": sigma},
             {"risk": [post.expect(lambda x: x, lb=0, epsabs=1e-14), -post.expect(lambda x: x, ub=0, epsabs=1e-14)]}, 1e-7)
        na, nb = int(rng.integers(50, 3000)), int(rng.integers(50, 3000))
        ka, kb, prior = int(rng.binomial(na, 0.1)), int(rng.binomial(nb, 0.12)), [float(rng.integers(1, 5)), float(rng.integers(1, 20))]
        A, B = stats.beta(prior[0] + ka, prior[1] + na - ka), stats.beta(prior[0] + kb, prior[1] + nb - kb)
        lo, hi = min(A.ppf(1e-15), B.ppf(1e-15)), max(A.isf(1e-15), B.isf(1e-15))
        quad = lambda f: integrate.quad(f, lo, hi, epsabs=1e-13, limit=400)[0]
        case("beta_binomial_chance_and_loss", {"a": [ka, na], "b": [kb, nb], "prior": prior},
             {"p_b_beats_a": quad(lambda x: B.pdf(x) * A.cdf(x)), "loss_choose_b": quad(lambda x: B.cdf(x) * A.sf(x)), "loss_choose_a": quad(lambda x: A.cdf(x) * B.sf(x))}, 1e-7)


def mixture():
    for _ in range(20):
        m, alpha, tau2 = int(rng.integers(200, 8000)), 0.05, float(rng.choice([1e-4, 4e-4]))
        ca, cb = int(rng.binomial(m, 0.1)), int(rng.binomial(m, 0.12))
        pa, pb = ca / m, cb / m
        v = pa * (1 - pa) + pb * (1 - pb)
        # Lambda is the integral of the likelihood ratio over a normal mixture of effects.
        ratio, _ = integrate.quad(lambda t: math.exp(-m * ((pb - pa - t) ** 2 - (pb - pa) ** 2) / (2 * v)) * stats.norm.pdf(t, 0, math.sqrt(tau2)), -0.5, 0.5, epsabs=1e-13, limit=400, points=[0, pb - pa])
        case("msprt", {"n_per_arm": m, "conv_a": ca, "conv_b": cb, "tau2": tau2, "alpha": alpha}, {"V": v, "Lambda": ratio, "p_value": min(1, 1 / ratio)}, 1e-6)


def planning():
    for _ in range(20):
        n, base, rel, alpha = int(rng.integers(500, 40_000)), float(rng.uniform(0.02, 0.4)), float(rng.uniform(0.02, 0.2)), float(rng.choice([0.01, 0.05]))
        p1, p2 = base, base * (1 + rel)
        z = abs(p2 - p1) / math.sqrt((p1 * (1 - p1) + p2 * (1 - p2)) / n)
        q = stats.norm.isf(alpha / 2)
        case("power", {"n_per_arm": n, "baseline": base, "mde_rel": rel, "alpha": alpha}, {"power": float(stats.norm.sf(q - z))}, 2e-4)


def bandits():
    for _ in range(20):
        k = int(rng.integers(2, 7))
        mean, sd = rng.normal(0.1, 0.02, k), rng.uniform(0.005, 0.03, k)
        lo, hi = (mean - 12 * sd).min(), (mean + 12 * sd).max()
        best = [integrate.quad(lambda x: stats.norm.pdf(x, mean[i], sd[i]) * np.prod([stats.norm.cdf(x, mean[j], sd[j]) for j in range(k) if j != i]), lo, hi, epsabs=1e-12, limit=400, points=list(mean[:8]))[0] for i in range(k)]
        case("thompson_best_arm_probability", {"posterior_mean": mean.tolist(), "posterior_sd": sd.tolist(), "floor": 0.02},
             {"p_best": best, "weights_with_floor": [0.02 + (1 - 0.02 * k) * w for w in best]}, 1e-6)
        m, a, N, c = float(rng.uniform(0, 1)), float(rng.uniform(0.1, 2)), int(rng.integers(20, 9999)), int(rng.integers(1, 20))
        case("ucb1", {"arm_mean": m, "alpha": a, "total": N, "arm_count": c}, {"ucb": m + a * math.sqrt(2 * math.log(N) / c)})
        arms, d, rounds = [0, 1, 2], int(rng.integers(1, 6)), int(rng.integers(5, 40))
        past, pulls, y, x = rng.normal(0, 1, (rounds, d)), rng.integers(0, 3, rounds), rng.integers(0, 2, rounds), rng.normal(0, 1, (2, d))
        scores = []
        for ctx in x:
            row = []
            for arm in arms:
                X, Y = past[pulls == arm], y[pulls == arm]
                inv = np.linalg.inv(X.T @ X + 0.7 * np.eye(d))
                row.append(float(ctx @ inv @ X.T @ Y + 1.3 * math.sqrt(ctx @ inv @ ctx)))
            scores.append(row)
        case("linucb_disjoint", {"arms": arms, "decisions": pulls.tolist(), "rewards": y.tolist(), "contexts_history": past.tolist(), "contexts": x.tolist(), "alpha": 1.3, "l2": 0.7}, {"scores": scores})


def uplift():
    for _ in range(20):
        n = int(rng.integers(10, 200))
        y, t = rng.integers(0, 2, n), rng.integers(0, 2, n)
        t[:2] = [0, 1]
        u = rng.permutation(n) / n if rng.random() < 0.5 else rng.integers(0, 6, n) / 6
        xs, up, qini = [0], [0.0], [0.0]
        for cut in sorted(set(u), reverse=True):
            top = u >= cut
            nt, nc, yt, yc = (top & (t == 1)).sum(), (top & (t == 0)).sum(), y[top & (t == 1)].sum(), y[top & (t == 0)].sum()
            xs.append(int(top.sum()))
            up.append(float(((yt / nt if nt else 0) - (yc / nc if nc else 0)) * (nt + nc)))
            qini.append(float(yt - (yc * nt / nc if nc else 0)))
        case("uplift_curve,qini_curve", {"y": y.tolist(), "uplift": u.tolist(), "treatment": t.tolist()}, {"x": xs, "uplift_curve": up, "qini_curve": qini})


def retractions():
    for _ in range(20):
        ops, now = [], {}
        for _ in range(int(rng.integers(3, 30))):
            unit, value = f"u{rng.integers(0, 5)}", float(rng.integers(1, 50))
            ops.append(["+", "A", unit, value])
            now[unit] = now.get(unit, 0) + value
        for sign, arm, unit, value in ops[:: int(rng.integers(2, 5))]:
            ops = ops + [["-", arm, unit, value]]
            now[unit] -= value
        x = np.array(list(now.values()))
        if len(x) < 2:
            continue
        case("incremental_retraction", {"ops": ops}, {"n": len(x), "sum": float(x.sum()), "sum_squares": float((x * x).sum()), "mean": float(x.mean()), "var": float(x.var(ddof=1))})
        parts = [units(int(rng.integers(2, 90))) for _ in range(int(rng.integers(1, 6)))]
        whole = np.concatenate(parts)
        case("merge", {"parts": [[len(p), float(p.sum()), float((p * p).sum())] for p in parts]}, {"n": len(whole), "mean": float(whole.mean()), "var": float(whole.var(ddof=1))}, 1e-7)


def privacy():
    for _ in range(20):
        sigma, l0, linf, eps = float(rng.uniform(1, 20)), int(rng.integers(1, 5)), float(rng.uniform(0.5, 3)), float(rng.uniform(0.05, 2))
        s = math.sqrt(l0) * linf
        # The hockey-stick divergence of two normals, by its definition.
        delta, _ = integrate.quad(lambda x: max(0.0, stats.norm.pdf(x, s, sigma) - math.exp(eps) * stats.norm.pdf(x, 0, sigma)), eps * sigma ** 2 / s + s / 2, s + 40 * sigma, epsabs=1e-18, epsrel=1e-11, limit=400)
        case("dp_analytic_gaussian_delta", {"sigma": sigma, "l0": l0, "linf": linf, "epsilon": eps}, {"delta": delta}, 1e-9)
        e, sens = float(rng.uniform(0.1, 3)), int(rng.integers(1, 4))
        law = stats.dlaplace(e / sens)
        case("dp_discrete_laplace", {"epsilon": e, "sensitivity": sens, "k": 5}, {"variance": float(law.var()), "p_zero": float(law.pmf(0)), "p_abs_le_5": float(law.cdf(5) - law.cdf(-6))}, 1e-7)


for part in (welch, relative, sequences, shares, many, cuped, bayes, mixture, planning, bandits, uplift, retractions, privacy):
    part()


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, np.generic):
        return v.item()
    return v


print('{"cases":[')
print(",\n".join(json.dumps(plain(c), separators=(",", ":")) for c in cases))
print("]}")
