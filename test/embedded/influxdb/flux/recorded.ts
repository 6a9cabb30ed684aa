/** What a real InfluxDB 2.7.12 answered to some of the corpus' queries; lines end in CRLF on the wire. */
export const recorded: readonly { query: string; status: number; text: string }[] = [
  {
    query: `from(bucket: "measure") |> range(start: 2024-07-01T00:00:00Z, stop: 2024-07-05T00:00:00Z) |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1d, fn: mean) |> aggregateWindow(every: 2d, fn: sum)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,string,double
#group,false,false,false,true,true,true,true,true,false
#default,_result,,,,,,,,
,result,table,_time,_start,_stop,_field,_measurement,site,_value
,,0,2024-07-02T00:00:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,
,,0,2024-07-04T00:00:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,-1
,,0,2024-07-05T00:00:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,5.5`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "none") |> mean()`,
    status: 200,
    text: ``,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "none") |> first()`,
    status: 200,
    text: ``,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "none") |> median()`,
    status: 200,
    text: ``,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "none") |> stddev()`,
    status: 200,
    text: ``,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "none") |> count()`,
    status: 200,
    text: ``,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> group(columns: ["dc"])`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,false,false,true,false
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,f,mixed,1,b
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:30Z,20.125,f,mixed,2,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:31.123456789Z,0.1,f,mixed,2,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:32.1Z,0.000000001,f,mixed,2,a`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f" or r._field == "i") |> group() |> max()`,
    status: 400,
    text: `{"code":"invalid","message":"schema collision: cannot group float and integer types together"}`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "nope")`,
    status: 400,
    text: `{"code":"invalid","message":"runtime error @1:180-1:248: pivot: specified value column does not exist in table: nope"}`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-03-08T00:00:00Z, stop: 2024-03-14T00:00:00Z) |> filter(fn: (r) => r._measurement == "temperature") |> group(columns: ["datacenter_id", "_measurement"]) |> aggregateWindow(every: 1d, fn: mean, createEmpty: false) |> yield(name: "mean")`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,double
#group,false,false,false,true,true,true,true,false
#default,mean,,,,,,,
,result,table,_time,_start,_stop,datacenter_id,_measurement,_value
,,0,2024-03-09T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,5.023255813953488
,,0,2024-03-10T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,4.959302325581396
,,0,2024-03-11T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,9.44186046511628
,,0,2024-03-12T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,4.8313953488372094
,,0,2024-03-13T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,4.534090909090909
,,0,2024-03-14T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,1,temperature,5.023255813953488
,,1,2024-03-09T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,4.875
,,1,2024-03-10T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,4.458333333333333
,,1,2024-03-11T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,8.125
,,1,2024-03-12T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,4.625
,,1,2024-03-13T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,4.958333333333333
,,1,2024-03-14T00:00:00Z,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2,temperature,4.875`,
  },
  {
    query: `import "timezone"
from(bucket: "measure") |> range(start: 2024-07-01T00:00:00Z, stop: 2024-07-05T00:00:00Z) |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1d, fn: sum, location: timezone.fixed(offset: 5h30m))`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,string,double
#group,false,false,false,true,true,true,true,true,false
#default,_result,,,,,,,,
,result,table,_time,_start,_stop,_field,_measurement,site,_value
,,0,2024-07-01T18:30:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,-4
,,0,2024-07-02T18:30:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,-6
,,0,2024-07-03T18:30:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,10
,,0,2024-07-04T18:30:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,18
,,0,2024-07-05T00:00:00Z,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,v,kolkata,k,`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-07-01T00:00:00Z, stop: 2024-07-05T00:00:00Z) |> filter(fn: (r) => r._measurement == "kolkata") |> aggregateWindow(every: 1d, period: 2d, fn: max, createEmpty: false)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,site
,,0,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,2024-07-02T00:00:00Z,-1,v,kolkata,k
,,0,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,2024-07-03T00:00:00Z,3,v,kolkata,k
,,0,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,2024-07-04T00:00:00Z,7,v,kolkata,k
,,0,2024-07-01T00:00:00Z,2024-07-05T00:00:00Z,2024-07-05T00:00:00Z,7,v,kolkata,k`,
  },
  {
    query: `import "array"
array.from(rows: [{_time: 2024-01-01T00:00:00Z, _value: 1.5, k: "a"}, {_time: 2024-01-01T00:00:10Z, _value: 4.0, k: "b"}, {_time: 2024-01-01T00:00:30Z, _value: 2.0, k: "a"}]) |> window(every: 1d)`,
    status: 400,
    text: `{"code":"invalid","message":"failed to initialize execute state: nil bounds passed to window; use range to set the window range"}`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> sort(desc: true)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,f,mixed,1,b
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:30Z,20.125,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:31.123456789Z,0.1,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:32.1Z,0.000000001,f,mixed,2,a`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> limit(n: 1, offset: 1)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> keep(columns: ["host"]) |> distinct(column: "host")`,
    status: 200,
    text: `#datatype,string,long,string,string
#group,false,false,true,false
#default,_result,,,
,result,table,host,_value
,,0,a,a
,,1,b,b`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> keep(columns: ["_time", "_value", "dc"])`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,double,string
#group,false,false,false,false,true
#default,_result,,,,
,result,table,_time,_value,dc
,,0,2024-05-01T00:00:00Z,1.5,1
,,0,2024-05-01T00:01:00Z,2.5,1
,,0,2024-05-01T00:02:00Z,3.25,1
,,0,2024-05-01T00:00:00Z,10,1
,,0,2024-05-01T00:03:00Z,-0.0000001,1
,,1,2024-05-01T00:00:30Z,20.125,2
,,1,2024-05-01T01:00:30Z,123456789012345690000000,2
,,1,2024-05-01T01:00:31.123456789Z,0.1,2
,,1,2024-05-01T01:00:32.1Z,0.000000001,2`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> rename(columns: {_value: "value", host: "machine"})`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,value,_field,_measurement,dc,machine
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,f,mixed,1,b
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:30Z,20.125,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:31.123456789Z,0.1,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:32.1Z,0.000000001,f,mixed,2,a`,
  },
  {
    query: `import "array"
array.from(rows: [{_time: 2024-01-01T00:00:00Z, _value: 1.5, k: "a"}, {_time: 2024-01-01T00:00:10Z, _value: 4.0, k: "b"}, {_time: 2024-01-01T00:00:30Z, _value: 2.0, k: "a"}]) |> filter(fn: (r) => r.k == "a") |> map(fn: (r) => ({r with _value: r._value + 1.0}))`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,double,string
#group,false,false,false,false,false
#default,_result,,,,
,result,table,_time,_value,k
,,0,2024-01-01T00:00:00Z,2.5,a
,,0,2024-01-01T00:00:30Z,3,a`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> map(fn: (r) => ({r with level: if r._value > 5.0 then "high" else "low"}))`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true,false
#default,_result,,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host,level
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a,low
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a,low
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a,low
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,f,mixed,1,b,high
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b,low
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:30Z,20.125,f,mixed,2,a,high
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a,high
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:31.123456789Z,0.1,f,mixed,2,a,low
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:32.1Z,0.000000001,f,mixed,2,a,low`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-03-08T00:00:00Z, stop: 2024-03-14T00:00:00Z) |> filter(fn: (r) => r._measurement == "temperature") |> filter(fn: (r) => r.device == "c") |> aggregateWindow(every: 12h, fn: mean) |> fill(value: 0.0)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,datacenter_id,device
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-08T12:00:00Z,4.375,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-09T00:00:00Z,5.375,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-09T12:00:00Z,4.458333333333333,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-10T00:00:00Z,0,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-10T12:00:00Z,0,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-11T00:00:00Z,8.125,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-11T12:00:00Z,4.541666666666667,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-12T00:00:00Z,4.708333333333333,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-12T12:00:00Z,4.875,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-13T00:00:00Z,5.041666666666667,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-13T12:00:00Z,4.375,value,temperature,2,c
,,0,2024-03-08T00:00:00Z,2024-03-14T00:00:00Z,2024-03-14T00:00:00Z,5.375,value,temperature,2,c`,
  },
  {
    query: `a = from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "a")
b = from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.host == "b")
union(tables: [a, b])`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,f,mixed,1,b
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,f,mixed,1,b
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:30Z,20.125,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:30Z,123456789012345690000000,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:31.123456789Z,0.1,f,mixed,2,a
,,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:32.1Z,0.000000001,f,mixed,2,a`,
  },
  {
    query: `a = from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> filter(fn: (r) => r.dc == "1")
b = from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "i") |> filter(fn: (r) => r.dc == "1")
join(tables: {a: a, b: b}, on: ["_time", "host"])`,
    status: 200,
    text: `#datatype,string,long,string,string,string,string,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,long,string,string,string
#group,false,false,true,true,true,true,true,true,true,true,false,false,false,true,true,true
#default,_result,,,,,,,,,,,,,,,
,result,table,_field_a,_field_b,_measurement_a,_measurement_b,_start_a,_start_b,_stop_a,_stop_b,_time,_value_a,_value_b,dc_a,dc_b,host
,,0,f,i,mixed,mixed,2024-05-01T00:00:00Z,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,1,1,1,a
,,0,f,i,mixed,mixed,2024-05-01T00:00:00Z,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,2,1,1,a
,,0,f,i,mixed,mixed,2024-05-01T00:00:00Z,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,5,1,1,a
,,1,f,i,mixed,mixed,2024-05-01T00:00:00Z,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,10,-4,1,1,b
,,1,f,i,mixed,mixed,2024-05-01T00:00:00Z,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:03:00Z,-0.0000001,9223372036854775807,1,1,b`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "s") |> difference()`,
    status: 400,
    text: `{"code":"invalid","message":"runtime error @1:180-1:192: difference: difference does not support column \\"_value\\" of type \\"string\\""}`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-06-01T00:00:00Z, stop: 2024-06-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "sparse") |> filter(fn: (r) => r.x == "10") |> elapsed()`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,long
#group,false,false,true,true,false,false,true,true,true,false
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,x,elapsed
,,0,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:03Z,10,value,sparse,10,2
,,0,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:06Z,8,value,sparse,10,3
,,0,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:07Z,8,value,sparse,10,1`,
  },
  {
    query: `option now = () => 2024-09-06T00:00:00Z
import "influxdata/influxdb/v1"
v1.tagValues(bucket: "aggregates", tag: "datacenter_id", start: -7d)`,
    status: 400,
    text: `{"code":"invalid","message":"compilation failed: error @2:1-2:7: invalid statement: import"}`,
  },
  {
    query: `import "influxdata/influxdb/schema"
option now = () => 2024-09-06T00:00:00Z
schema.tagKeys(bucket: "measure", predicate: (r) => r._measurement == "sparse", start: 2024-01-01)`,
    status: 200,
    text: `#datatype,string,long,string
#group,false,false,false
#default,_result,,
,result,table,_value
,,0,_start
,,0,_stop
,,0,Zone
,,0,_field
,,0,_measurement
,,0,x
,,0,y`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-06-01T00:00:00Z, stop: 2024-06-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "sparse") |> filter(fn: (r) => not exists r.x)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string
#group,false,false,true,true,false,false,true,true
#default,_result,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement
,,0,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,5,value,sparse

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,Zone,_field,_measurement
,,1,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,6,Z,value,sparse`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-06-01T00:00:00Z, stop: 2024-06-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "sparse") |> filter(fn: (r) => r.x != "1")`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string
#group,false,false,true,true,false,false,true,true
#default,_result,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement
,,0,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,5,value,sparse

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,Zone,_field,_measurement
,,1,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,6,Z,value,sparse

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,x
,,2,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:01Z,9,value,sparse,10
,,2,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:03Z,10,value,sparse,10
,,2,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:06Z,8,value,sparse,10
,,2,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:07Z,8,value,sparse,10

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,x
,,3,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,"two
lines",text,sparse,2

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,x,y
,,4,2024-06-01T00:00:00Z,2024-06-02T00:00:00Z,2024-06-01T12:00:00Z,8,value,sparse,2,"a b,c"`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._value >= 2 and r._value < 10)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,long,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2,i,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,5,i,mixed,1,a`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "i") |> aggregateWindow(every: 1h, fn: count, createEmpty: false)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,long,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:00Z,3,i,mixed,1,a
,,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T01:00:00Z,2,i,mixed,1,b`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> limit(n: 0)`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,,,f,mixed,1,a
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,1,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,,,f,mixed,1,b
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host

#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,true,true,true,true
#default,_result,2,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,,,f,mixed,2,a
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f") |> keep(columns: ["nope"])`,
    status: 200,
    text: `#datatype,string,long
#group,false,false
#default,_result,0
,result,table`,
  },
  {
    query: `from(bucket: "measure") |> range(start: 2024-05-01T00:00:00Z, stop: 2024-05-02T00:00:00Z) |> filter(fn: (r) => r._measurement == "mixed") |> filter(fn: (r) => r._field == "f" or r._field == "i") |> group()`,
    status: 200,
    text: `#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string
#group,false,false,true,true,false,false,false,false,false,false
#default,_result,,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,dc,host
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:00:00Z,1.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:01:00Z,2.5,f,mixed,1,a
,,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T00:02:00Z,3.25,f,mixed,1,a

#datatype,string,string
#group,true,true
#default,,
,error,reference
,schema collision: cannot group float and integer types together,`,
  },
  {
    query: `from(bucket: "nowhere") |> range(start: -1h)`,
    status: 404,
    text: `{"code":"not found","message":"failed to initialize execute state: could not find bucket \\"nowhere\\""}`,
  },
];
