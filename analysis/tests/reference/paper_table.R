# The paper's table (method.md 4a) of the authors' metrics, all four of them, by R's lm and anova:
#   Rscript paper_table.R both.csv gesture100.csv multiclass.csv > ../data/authors_table.csv
# with the authors' files as CSV: metricsAll_50epoch and metricsAll_null_50epoch in one, metricsAll_gesture_epoch100, metricsAll_multiclass.
# R's logarithm of tiny p is wrong from the fourth digit on for some of these F (pf of R 4.2 just below what a double holds), so that
# the column log10_p of the data is, below -200, mpmath's with 60 digits from R's F: I_x(df2/2, df1/2) at x = df2/(df2 + df1 F).
files <- commandArgs(trailingOnly = TRUE)
options(digits = 17)
columns <- c(start = "v0", end = "vend", max = "vmax", tmax = "maxt")
log10p <- function(f, d1, d2) pf(f, d1, d2, lower.tail = FALSE, log.p = TRUE) / log(10)
out <- NULL
add <- function(set, metric, source, model, n, f, d1, d2, fit, gain = NA, adjusted_gain = NA) {
  s <- summary(fit)
  out <<- rbind(out, data.frame(
    set, metric, source, model, n, f, df1 = d1, df2 = d2, log10_p = log10p(f, d1, d2),
    r_squared = s$r.squared, adjusted_r_squared = s$adj.r.squared, sigma = s$sigma, rss = deviance(fit),
    log_likelihood = as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit),
    r_squared_gain = gain, adjusted_r_squared_gain = adjusted_gain))
}
single <- function(set, metric, source, model, formula, rows) {
  fit <- lm(formula, rows)
  f <- summary(fit)$fstatistic
  add(set, metric, source, model, nrow(rows), f[[1]], f[[2]], f[[3]], fit)
  fit
}
for (index in seq_along(files)) {
  set <- c("both", "gesture100", "multiclass")[index]
  rows <- read.csv(files[index])
  rows$name <- tolower(rows$training)
  rows$shuffled <- grepl("_null$", rows$name)
  rows$source <- sub("_null$", "", rows$name)
  for (metric in names(columns)) {
    rows$y <- rows[[columns[metric]]]
    true_rows <- rows[!rows$shuffled, ]
    if (length(unique(rows$source)) > 1) single(set, metric, "", "data source", y ~ factor(source), true_rows)
    for (source in sort(unique(rows$source))) {
      all <- rows[rows$source == source, ]
      own <- all[!all$shuffled, ]
      if (any(all$shuffled)) single(set, metric, source, "true or shuffled labels", y ~ shuffled, all)
      single(set, metric, source, "condition", y ~ factor(class), own)
      small <- single(set, metric, source, "epoch", y ~ epoch, own)
      large <- single(set, metric, source, "epoch × condition", y ~ epoch * factor(class), own)
      test <- anova(small, large)
      add(set, metric, source, "epoch × condition over epoch", nrow(own), test$F[2], test$Df[2], test$Res.Df[2], large,
          summary(large)$r.squared - summary(small)$r.squared, summary(large)$adj.r.squared - summary(small)$adj.r.squared)
    }
  }
}
write.csv(out, stdout(), row.names = FALSE, na = "")
