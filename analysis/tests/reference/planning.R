# Power of two-sample t tests and of one-way analysis of variance by R's stats package.
# Rscript planning.R <folder> writes planning.json there. R 4.2.2.
library(jsonlite)
folder <- commandArgs(trailingOnly = TRUE)[1]
tolerance <- 1e-13
two <- do.call(rbind, lapply(list(c(5, 0.05, 0.8), c(20, 0.05, 0.8), c(2, 0.05, 0.8), c(50, 0.01, 0.9), c(300, 0.001, 0.95)), function(x)
  data.frame(seeds = x[1], level = x[2], power = x[3],
             d = power.t.test(n = x[1], sig.level = x[2], power = x[3], strict = TRUE, tol = tolerance)$delta)))
two_seeds <- do.call(rbind, lapply(list(c(0.2, 0.05, 0.8), c(0.5, 0.05, 0.8), c(1, 0.05, 0.8), c(2.5, 0.05, 0.8), c(0.1, 0.01, 0.9)), function(x)
  data.frame(d = x[1], level = x[2], power = x[3],
             seeds = power.t.test(delta = x[1], sig.level = x[2], power = x[3], strict = TRUE, tol = tolerance)$n)))
# power.anova.test takes variances with denominator k - 1; Cohen's f has k.
anova_power <- function(k, n, f, level) power.anova.test(groups = k, n = n, between.var = f^2 * k / (k - 1), within.var = 1, sig.level = level)$power
one <- do.call(rbind, lapply(list(c(3, 5, 0.4), c(15, 20, 0.25), c(15, 20, 0.1), c(2, 10, 0.8), c(15, 3, 1.2)), function(x)
  data.frame(conditions = x[1], seeds = x[2], f = x[3], level = 0.05, power = anova_power(x[1], x[2], x[3], 0.05))))
one_seeds <- do.call(rbind, lapply(list(c(3, 0.4), c(15, 0.25), c(15, 0.1), c(4, 0.5)), function(x)
  data.frame(conditions = x[1], f = x[2], seeds = power.anova.test(groups = x[1], between.var = x[2]^2 * x[1] / (x[1] - 1), within.var = 1,
             sig.level = 0.05, power = 0.8)$n)))
write_json(list(two = two, two_seeds = two_seeds, one = one, one_seeds = one_seeds), file.path(folder, "planning.json"), digits = NA)
