# mclust's default grid on a CSV file: seconds to standard output, BIC (larger is better) to a second CSV file.
# With the argument "data NAME" instead, writes one of the data sets that come with R or mclust, numbers only.
suppressPackageStartupMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
if (arguments[1] == "data") {
  data(list = arguments[2])
  frame <- get(arguments[2])
  numeric <- sapply(frame, is.numeric) & names(frame) != "index"
  write.csv(frame[, numeric, drop = FALSE], arguments[3], row.names = FALSE)
} else {
  X <- as.matrix(read.csv(arguments[1]))
  invisible(mclustBIC(X, G = 1:2, verbose = FALSE))
  elapsed <- system.time(grid <- mclustBIC(X, G = 1:9, verbose = FALSE))[["elapsed"]]
  write.csv(as.data.frame(unclass(grid)[, , drop = FALSE]), arguments[2])
  cat(elapsed, "\n")
}
