package main

import "testing"

func TestFindsReadingsInEveryWrapping(t *testing.T) {
	for _, request := range []string{
		`{"sequence":100000007,"sent":1000000000000042}`,
		`{"messages":[{"body":"{\"sequence\":100000007,\"sent\":1000000000000042}"}]}`,
		`{"event":{"body":"{\\\"sequence\\\":100000007,\\\"sent\\\":1000000000000042}"}}`,
		`test,host=a sequence=100000007,temperature=21.5,sent=1000000000000042 1`,
	} {
		found := scanReadings([]byte(request), nil)
		if len(found) != 1 || found[0] != (reading{7, 1000000000000042}) {
			t.Errorf("%v in %s", found, request)
		}
	}
}

func TestFillsTheTemplate(t *testing.T) {
	template, err := parseTemplate(`{"sequence":{sequence},"sent":{sent}}`)
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte(nil), template.body...)
	template.fill(body, 12, 1700000000000000)
	if string(body) != `{"sequence":100000012,"sent":1700000000000000}` {
		t.Error(string(body))
	}
}
