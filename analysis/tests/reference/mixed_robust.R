# Made-up rows (run × epoch), unbalanced in runs and in epochs, and what lme4, lmerTest and clubSandwich say about them.
# Rscript mixed_robust.R <folder> writes mixed_rows.csv, mixed.json and robust.json there. R 4.2.2, lme4 1.1-31, lmerTest 3.1-3,
# clubSandwich 0.5.8.
suppressPackageStartupMessages({library(lmerTest); library(clubSandwich); library(jsonlite)})
folder <- commandArgs(trailingOnly = TRUE)[1]

RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20250611)
make <- function(set, run_sd) {
  lengths <- list(p = c(6, 6, 5, 3), q = c(6, 4, 6), r = c(6, 6, 2, 6, 5))
  start <- c(p = 0.50, q = 0.53, r = 0.46); slope <- c(p = 0.030, q = 0.012, r = 0.041)
  do.call(rbind, lapply(names(lengths), function(level) do.call(rbind, lapply(seq_along(lengths[[level]]), function(run) {
    epoch <- seq_len(lengths[[level]][run])
    shift <- if (run_sd > 0) rnorm(1, 0, run_sd) else 0
    noise <- rnorm(length(epoch), 0, 0.02)
    # Without a variance between runs, residuals that sum to 0 within each run leave lme4 at its boundary.
    if (run_sd == 0) noise <- noise - mean(noise)
    data.frame(set = set, run = paste0(level, run), level = level, epoch = epoch,
               value = round(start[[level]] + slope[[level]] * epoch + shift + noise, 6))
  }))))
}
rows <- rbind(make("varied", 0.03), make("boundary", 0))
write.csv(rows, file.path(folder, "mixed_rows.csv"), row.names = FALSE, quote = FALSE)

formulas <- c(Epoch = "epoch", Level = "level", EpochAndLevel = "epoch + level", EpochByLevel = "epoch * level")
tight <- lmerControl(optimizer = "nloptwrap", check.conv.singular = "ignore", check.conv.grad = "ignore",
                     optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_rel = 1e-14, xtol_abs = 1e-14,
                                    ftol_rel = 1e-16, ftol_abs = 1e-16, maxeval = 10000))
mixed <- list(); robust <- list()
for (name in names(formulas)) for (set in c("varied", "boundary")) {
  data <- rows[rows$set == set, ]
  for (reml in c(TRUE, FALSE)) {
    fit <- lmer(as.formula(paste("value ~", formulas[[name]], "+ (1 | run)")), data, REML = reml, control = tight)
    variances <- as.data.frame(VarCorr(fit))$vcov
    table <- coef(summary(fit))
    # With one term alone, lmerTest's type 3 takes other contrasts of the same hypothesis, which moves the degrees of freedom a little.
    terms <- if (name %in% c("Epoch", "Level")) {
      k <- length(fixef(fit))
      table_of_one <- contestMD(fit, cbind(0, diag(k - 1)))
      rownames(table_of_one) <- formulas[[name]]
      table_of_one
    } else anova(fit, type = 3)
    mixed[[length(mixed) + 1]] <- list(
      set = set, formula = name, reml = reml, log_likelihood = as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit),
      run_variance = variances[1], residual_variance = variances[2],
      coefficients = data.frame(name = rownames(table), estimate = table[, 1], se = table[, 2], df = table[, 3], p = table[, 5]),
      terms = data.frame(name = rownames(terms), sum_of_squares = terms[, 1], df1 = terms[, 3], df2 = terms[, 4], f = terms[, 5], p = terms[, 6]))
  }
  fit <- lm(as.formula(paste("value ~", formulas[[name]])), data)
  table <- coef_test(fit, vcov = "CR2", cluster = data$run, test = "Satterthwaite")
  joint <- function(columns) {
    test <- Wald_test(fit, constraints = constrain_zero(columns), vcov = "CR2", cluster = data$run, test = "HTZ")
    list(f = test$Fstat, df1 = test$df_num, df2 = test$df_denom, p = test$p_val)
  }
  k <- length(coef(fit))
  # HC2: every row its own cluster.
  e <- residuals(fit); X <- model.matrix(fit); bread <- solve(crossprod(X))
  hc2 <- bread %*% crossprod(X * (e / sqrt(1 - hatvalues(fit)))) %*% bread
  robust[[length(robust) + 1]] <- list(
    set = set, formula = name,
    coefficients = data.frame(name = names(coef(fit)), estimate = table$beta, se = table$SE, df = table$df_Satt, p = table$p_Satt,
                              hc2 = sqrt(diag(hc2))),
    against_mean = joint(2:k),
    against_epoch = if (name %in% c("EpochAndLevel", "EpochByLevel")) joint(3:k) else NULL)
}
comparisons <- lapply(c("varied", "boundary"), function(set) {
  data <- rows[rows$set == set, ]
  fit <- function(name) lmer(as.formula(paste("value ~", formulas[[name]], "+ (1 | run)")), data, REML = FALSE, control = tight)
  table <- anova(fit("Epoch"), fit("EpochAndLevel"), fit("EpochByLevel"))
  list(set = set, chi_square = table$Chisq[2:3], df = table$Df[2:3], p = table$`Pr(>Chisq)`[2:3])
})
write_json(list(fits = mixed, likelihood_ratios = comparisons), file.path(folder, "mixed.json"), digits = NA, auto_unbox = TRUE, null = "null")
write_json(robust, file.path(folder, "robust.json"), digits = NA, auto_unbox = TRUE, null = "null")
