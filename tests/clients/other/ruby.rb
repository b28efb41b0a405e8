# Ruby's pg: parameters, prepared statements, single-row mode, COPY out, cancel, text type map.
require 'pg'

LARGE = 'select id, account_id, occurred_at, duration_ms from events order by id limit 50000'
SLOW = 'select count(*) from events a join events b on a.duration_ms < b.duration_ms'

def open(user, password = "demo-#{user}")
  connection = PG.connect(host: '127.0.0.1', port: ENV['GATE_PORT'], dbname: 'demo', user: user, password: password)
  yield connection
ensure
  connection&.close
end

def expect(what, got, wanted)
  raise "#{what}: #{got.inspect} instead of #{wanted.inspect}" unless got == wanted
end

def expect_error(state)
  yield
rescue PG::Error => error
  expect("SQLSTATE of '#{error.message}'", error.result&.error_field(PG::PG_DIAG_SQLSTATE), state)
else
  raise "no error, expected #{state}"
end

def one(connection, sql, values = [])
  connection.exec_params(sql, values).getvalue(0, 0)
end

CHECKS = {
  'connect' => -> { open('ada') { |c| expect('user', one(c, 'select current_user'), 'ada') } },
  'tables' => lambda {
    { 'ada' => 22, 'sam' => 22, 'iris' => 15 }.each do |user, count|
      open(user) { |c| expect("tables of #{user}", c.exec_params('select table_name from information_schema.tables where table_schema = $1', ['public']).ntuples, count) }
    end
  },
  'describe' => lambda {
    { 'ada' => 10, 'sam' => 8 }.each do |user, count|
      open(user) do |c|
        c.prepare('d', 'select * from employees')
        expect('columns', c.describe_prepared('d').nfields, count)
        expect('column of its table', c.exec('select id from employees limit 1').ftablecol(0), 1)
      end
    end
  },
  'types' => lambda {
    wrong = []
    cases = File.readlines(ENV['TYPES'], chomp: true, encoding: 'UTF-8').reject { |l| l.empty? || l.start_with?('#') }.map { |l| l.split("\t", -1) }
    open('ada') do |c|
      cases.each do |name, expression, text|
        got = begin c.exec("select #{expression}").getvalue(0, 0) rescue $!.message end
        wrong << "#{name}: #{got.inspect}" unless got == (name == 'null' ? nil : text)
      end
      c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
      expect('mapped', c.exec_params('select 1::int4, true, 1.5::float8, $1::text', ['x'], 1).values, [[1, true, 1.5, 'x']])
    end
    raise wrong.join('; ') unless wrong.empty?
    "#{cases.size} types, mapped values in binary"
  },
  'parameters' => lambda {
    open('ada') do |c|
      c.prepare('by_id', 'select id from accounts where id = $1')
      (1..12).each do |n|
        id = format('acc_%05d', n)
        expect('id', c.exec_prepared('by_id', [id]).getvalue(0, 0), id)
        expect('echo', c.exec_params('select $1::int4 + 1, $2::text, $3::text', [n, "o'#{n}", nil]).values, [[(n + 1).to_s, "o'#{n}", nil]])
      end
      '2 statements, 12 executions each'
    end
  },
  'errors' => lambda {
    open('ada') do |c|
      { 'select * from no_such_table' => '42P01', 'select no_such from regions' => '42703', 'selec 1' => '42601', 'select 1/0' => '22012' }.each do |sql, state|
        expect_error(state) { c.exec(sql) }
        expect_error(state) { c.exec_params(sql, []) }
      end
      expect('after the errors', one(c, 'select 1'), '1')
    end
    begin
      open('ada', 'wrong') { nil }
    rescue PG::ConnectionBad
      nil
    else
      raise 'a wrong password was accepted'
    end
  },
  'cancel' => lambda {
    open('ada') do |c|
      c.send_query(SLOW)
      sleep 1
      c.cancel
      expect_error('57014') { c.get_last_result }
      expect('after the cancel', one(c, 'select 1'), '1')
    end
    nil
  },
  'transactions' => lambda {
    open('ada') do |c|
      c.transaction do
        c.exec('savepoint a')
        expect_error('22012') { c.exec('select 1/0') }
        c.exec('rollback to a')
        expect('after the savepoint', one(c, 'select count(*) from regions'), '4')
      end
      expect_error('0A000') { c.exec("insert into regions (id) values ('x')") }
    end
    'writes are refused with 0A000: the gate reads'
  },
  'fetch' => lambda {
    open('ada') do |c|
      c.send_query(LARGE)
      c.set_single_row_mode
      count = 0
      c.get_result.stream_each_row { count += 1 }
      expect('rows', count, 50_000)
    end
    'single-row mode'
  },
  'policy' => lambda {
    { 'ada' => '20000', 'sam' => '2157' }.each { |user, count| open(user) { |c| expect("accounts of #{user}", one(c, 'select count(*) from accounts'), count) } }
    open('sam') do |c|
      ['salary from employees', 'unit_cost from products', 'credit_limit from accounts', 'margin_percent from opportunities'].each { |what| expect_error('42703') { c.exec("select #{what}") } }
    end
    nil
  },
  'own' => lambda {
    open('ada') do |c|
      lines = []
      c.copy_data('copy (select id from regions order by id) to stdout') { while (line = c.get_copy_data) do lines << line end }
      expect('COPY', lines.join, "amer\napac\nemea\nlatam\n")
      c.enter_pipeline_mode
      3.times { |n| c.send_query_params('select $1::int4', [n]) }
      c.pipeline_sync
      values = 3.times.map { r = c.get_result; c.get_result; r.getvalue(0, 0) }
      expect('pipeline', values, %w[0 1 2])
    end
    'COPY out, pipeline mode'
  }
}.freeze

puts "client\tRuby pg\t#{PG::VERSION}"
%w[connect tables describe types parameters errors cancel transactions fetch policy own].each do |name|
  outcome, note = begin
    result = CHECKS[name].call
    ['ok', result.is_a?(String) && result =~ / / ? result : '']
  rescue StandardError => error
    ['FAIL', error.message]
  end
  puts "#{name}\t#{outcome}\t#{note.gsub(/\s+/, ' ')}"
end
