module fogwhisk-bench

go 1.22
