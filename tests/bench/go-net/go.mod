module net-race

go 1.24
