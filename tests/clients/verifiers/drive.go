package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"receiver/webhooks"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		seconds, _ := strconv.ParseInt(fields[0], 10, 64)
		body, _ := base64.StdEncoding.DecodeString(fields[2])
		header := func(wanted string) string {
			for _, each := range fields[3:] {
				if name, value, _ := strings.Cut(each, ": "); strings.EqualFold(name, wanted) {
					return value
				}
			}
			return ""
		}
		if err := webhooks.Verify(body, header, strings.Split(fields[1], ","), time.Unix(seconds, 0)); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("valid")
		}
	}
}
