# What R says about the metrics of a synthetic study's report, with the column names of its tables.
# Rscript comparisons.R <metrics.csv> <comparisons.json>; the metrics are those of the report that
# `CURVEFLEET_REPORTS=<folder> cargo test -p curvefleet-analysis --test compared tables_hold_what_r` keeps. R 4.2.2, lmerTest 3.1-3.
suppressPackageStartupMessages({library(lmerTest); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
metrics <- read.csv(arguments[1], stringsAsFactors = FALSE)
pairs <- list(c("wave/clap", "wave/point"), c("wave/point", "point/clap"))
level <- 0.9

# Rounded, so that sums that differ in their order alone are ties in ranks.
area <- function(y) round(sum((y[-1] + y[-length(y)]) / 2) / (length(y) - 1), 12)
summarise <- function(metric, summary) {
  runs <- split(metrics, metrics$run)
  do.call(rbind, lapply(runs, function(run) {
    y <- run[[metric]][order(run$epoch)]
    data.frame(condition = run$condition[1], labels = run$labels[1], seed = run$seed[1],
               value = if (summary == "final") y[length(y)] else area(y))
  }))
}

contrast <- function(a, b) {
  welch <- t.test(a, b, conf.level = level)
  m <- length(a) + length(b) - 2
  pooled <- sqrt(((length(a) - 1) * var(a) + (length(b) - 1) * var(b)) / m)
  j <- exp(lgamma(m / 2) - lgamma((m - 1) / 2)) / sqrt(m / 2)
  scale <- sqrt(1 / length(a) + 1 / length(b))
  t <- (mean(a) - mean(b)) / pooled / scale
  # R's noncentral t is good for noncentralities up to 37.
  ncp <- function(p) if (abs(t) > 20) NA else uniroot(function(d) pt(t, m, d) - p, c(t - 17, t + 17), tol = 1e-12)$root
  list(difference = mean(a) - mean(b), difference_low = welch$conf.int[1], difference_high = welch$conf.int[2],
       hedges_g = t * scale * j, hedges_g_low = ncp((1 + level) / 2) * scale * j, hedges_g_high = ncp((1 - level) / 2) * scale * j,
       probability = mean(outer(a, b, ">") + 0.5 * outer(a, b, "==")),
       welch_t = unname(welch$statistic), welch_df = unname(welch$parameter), welch_p = welch$p.value)
}

key <- function(metric, summary, ...) list(metric = metric, summary = summary, ...)
out <- list(tests = list(), pairs = list(), controls = list(), mixed_model = list(), planning = list())
for (metric in c("max", "tmax")) for (summary in c("final", "area")) {
  all <- summarise(metric, summary)
  true <- all[all$labels == "true", ]
  true$condition <- factor(true$condition)
  of <- function(condition, labels = "true") all$value[all$condition == condition & all$labels == labels]

  welch <- oneway.test(value ~ condition, true)
  kruskal <- kruskal.test(value ~ condition, true)
  deviation <- abs(true$value - ave(true$value, true$condition, FUN = median))
  levene <- anova(lm(deviation ~ condition, cbind(true, deviation)))
  aov <- anova(lm(value ~ condition, true))
  ss <- aov$`Sum Sq`; ms <- aov$`Mean Sq`
  out$tests[[length(out$tests) + 1]] <- key(metric, summary, conditions = 3, runs = nrow(true),
    eta_squared = ss[1] / sum(ss), omega_squared = max(0, (ss[1] - aov$Df[1] * ms[2]) / (sum(ss) + ms[2])),
    welch_f = unname(welch$statistic), welch_df1 = unname(welch$parameter[1]), welch_df2 = unname(welch$parameter[2]), welch_p = welch$p.value,
    kruskal_h = unname(kruskal$statistic), kruskal_p = kruskal$p.value, levene_f = levene$`F value`[1], levene_p = levene$`Pr(>F)`[1])

  found <- lapply(pairs, function(pair) contrast(of(pair[1]), of(pair[2])))
  corrected <- p.adjust(sapply(found, function(pair) pair$welch_p), "BH")
  for (i in seq_along(pairs)) {
    q <- abs(found[[i]]$welch_t) * sqrt(2)
    half <- qtukey(level, 3, found[[i]]$welch_df) * abs(found[[i]]$difference / found[[i]]$welch_t) / sqrt(2)
    tukey <- TukeyHSD(stats::aov(value ~ condition, true))$condition
    name <- intersect(rownames(tukey), c(paste(pairs[[i]], collapse = "-"), paste(rev(pairs[[i]]), collapse = "-")))
    out$pairs[[length(out$pairs) + 1]] <- c(key(metric, summary, first = pairs[[i]][1], second = pairs[[i]][2]), found[[i]],
      corrected_p = corrected[i], family_size = 2, games_howell_q = q, games_howell_p = ptukey(q, 3, found[[i]]$welch_df, lower.tail = FALSE),
      games_howell_low = found[[i]]$difference - half, games_howell_high = found[[i]]$difference + half, tukey_p = tukey[name, "p adj"])
  }

  conditions <- levels(true$condition)
  found <- lapply(conditions, function(condition) contrast(of(condition), of(condition, "shuffled")))
  corrected <- p.adjust(sapply(found, function(pair) pair$welch_p), "BH")
  for (i in seq_along(conditions)) {
    a <- of(conditions[i]); b <- of(conditions[i], "shuffled"); both <- c(a, b)
    differences <- combn(length(both), length(a), function(chosen) mean(both[chosen]) - mean(both[-chosen]))
    permutation <- mean(abs(differences) >= abs(mean(a) - mean(b)) * (1 - 1e-9))
    names(found[[i]])[1:3] <- c("selectivity", "selectivity_low", "selectivity_high")
    out$controls[[length(out$controls) + 1]] <- c(key(metric, summary, condition = conditions[i]), found[[i]],
      mean_true = mean(a), chance = mean(b), corrected_p = corrected[i], family_size = 3,
      permutation_p = permutation, permutation_arrangements = length(differences))
  }

  sd <- sqrt(ms[2])
  for (tests in c(1, 2)) {
    power <- function(...) power.t.test(sd = sd, sig.level = 0.05 / tests, power = 0.8, strict = TRUE, tol = 1e-12, ...)
    for (difference in c(0.01, 0.1)) {
      enough <- function(n) power.t.test(n = n, delta = difference, sd = sd, sig.level = 0.05 / tests, strict = TRUE)$power >= 0.8
      needed <- 2; while (!enough(needed)) needed <- needed + 1
      out$planning[[length(out$planning) + 1]] <- key(metric, summary, tests = tests, difference = difference, sd = sd,
        detectable_difference = power(n = 5)$delta, seeds_needed = needed, seeds_still_needed = max(0, needed - 5))
    }
  }
}
for (metric in c("max", "tmax")) {
  rows <- metrics[metrics$labels == "true", ]
  fit <- lmer(as.formula(paste(metric, "~ epoch * condition + (1 | run)")), rows,
              control = lmerControl(optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-14)))
  table <- anova(fit)
  variances <- as.data.frame(VarCorr(fit))$vcov
  for (term in rownames(table)) out$mixed_model[[length(out$mixed_model) + 1]] <- list(metric = metric, term = sub(":", " × ", term),
    rows = nrow(rows), f = table[term, "F value"], df1 = table[term, "NumDF"], df2 = table[term, "DenDF"], p = table[term, "Pr(>F)"],
    run_variance = variances[1], residual_variance = variances[2])
}
write(toJSON(out, auto_unbox = TRUE, digits = NA, na = "null"), arguments[2])
