# Rails' ActiveRecord: models over the gate's tables, associations, aggregates, batches, and the schema dump that `db:schema:dump` writes.
# Of the library's own code.
$VERBOSE = nil
require 'active_record'
require 'stringio'

TABLES = { 'ada' => 22, 'sam' => 22, 'iris' => 15 }.freeze
ACCOUNTS = { 'ada' => 20_000, 'sam' => 2157 }.freeze
COLUMNS = { 'ada' => { 'employees' => 10, 'products' => 6, 'accounts' => 17 }, 'sam' => { 'employees' => 8, 'products' => 5, 'accounts' => 16 } }.freeze

def expect(what, got, wanted)
  raise "#{what}: #{got.inspect} instead of #{wanted.inspect}" unless got == wanted
end

def expect_error(kind, words)
  yield
rescue kind => error
  raise "'#{error.message}' has no '#{words}'" unless error.message.include?(words)
else
  raise "no error, expected #{kind}"
end

def settings(user, password = "demo-#{user}")
  { adapter: 'postgresql', host: '127.0.0.1', port: ENV['GATE_PORT'], database: 'demo', username: user, password: password, pool: 4 }
end

# Models of one user, in a module and over a connection of their own.
def models(user)
  @models ||= {}
  @models[user] ||= begin
    world = Object.const_set("As#{user.capitalize}", Module.new)
    base = world.const_set(:Base, Class.new(ActiveRecord::Base) { self.abstract_class = true })
    base.establish_connection(settings(user))
    { Region: 'regions', Account: 'accounts', Contact: 'contacts', User: 'users', Employee: 'employees', Event: 'events' }.each do |name, table|
      world.const_set(name, Class.new(base) { self.table_name = table })
    end
    world::Account.belongs_to :region, class_name: world::Region.name, optional: true
    world::Account.has_many :contacts, class_name: world::Contact.name, foreign_key: 'account_id'
    world::Contact.belongs_to :account, class_name: world::Account.name
    world::Region.has_many :accounts, class_name: world::Account.name, foreign_key: 'region_id'
    world
  end
end

def connection(user)
  models(user)::Base.connection
end

# What Rails writes into db/schema.rb.
def dump(user)
  out = StringIO.new
  ActiveRecord::SchemaDumper.dump(connection(user), out, models(user)::Base)
  out.string
end

CHECKS = {
  'connect' => lambda {
    expect('user', connection('ada').select_value('select current_user'), 'ada')
    expect('active', connection('ada').active?, true)
    expect('version', connection('ada').database_version / 10_000, 15)
  },
  'tables' => lambda {
    TABLES.each do |user, count|
      expect("tables of #{user}", connection(user).data_sources.size, count)
      expect("employees for #{user}", connection(user).table_exists?('employees'), user != 'iris')
    end
  },
  'describe' => lambda {
    COLUMNS.each do |user, tables|
      tables.each { |table, count| expect("columns of #{table} for #{user}", connection(user).columns(table).size, count) }
      expect('primary key', models(user)::Account.primary_key, 'id')
      expect('foreign keys', connection(user).foreign_keys('accounts').map(&:to_table).sort, %w[regions users])
    end
    kinds = %w[id annual_revenue rating strategic created_at].map { |name| models('ada')::Account.type_for_attribute(name).type }
    expect('types', kinds, %i[text decimal integer boolean datetime])
    'columns, keys, indexes, types of attributes'
  },
  'parameters' => lambda {
    (1..12).each do |n|
      id = format('acc_%05d', n)
      expect('find', models('ada')::Account.find(id).id, id)
      expect('where', models('ada')::Account.where(rating: [1, 2], strategic: false).where('name ilike ?', "%o'x%").where(created_at: ..Time.now).count, 0)
    end
    '2 statements, 12 executions each'
  },
  'errors' => lambda {
    expect_error(ActiveRecord::StatementInvalid, 'PG::UndefinedTable') { connection('ada').select_all('select * from no_such_table') }
    expect_error(ActiveRecord::StatementInvalid, 'PG::UndefinedColumn') { models('sam')::Employee.where('salary > 1').to_a }
    expect_error(ActiveRecord::StatementInvalid, 'PG::DivisionByZero') { connection('ada').select_all('select 1/0') }
    expect_error(ActiveRecord::RecordNotFound, "Couldn't find") { models('ada')::Account.find('none') }
    wrong = Class.new(ActiveRecord::Base) { self.abstract_class = true }
    Object.const_set(:WithWrongPassword, wrong)
    wrong.establish_connection(settings('ada', 'wrong'))
    expect_error(StandardError, 'password authentication failed') { wrong.connection }
    expect('afterwards', connection('ada').select_value('select 1'), 1)
  },
  'transactions' => lambda {
    account = models('ada')::Account
    account.transaction(isolation: :repeatable_read) do
      account.transaction(requires_new: true) { raise ActiveRecord::Rollback }
      expect('after the savepoint', account.where(id: 'acc_00001').count, 1)
    end
    expect_error(ActiveRecord::StatementInvalid, 'INSERT is not supported') { models('ada')::Region.create!(id: 'x') }
    'nested by savepoint; writes are refused: the gate reads'
  },
  'fetch' => lambda {
    count = 0
    models('ada')::Account.select(:id, :name, :created_at).in_batches(of: 1000).each_record { count += 1 }
    expect('rows', count, ACCOUNTS['ada'])
    '20000 records, in_batches(of: 1000)'
  },
  'policy' => lambda {
    ACCOUNTS.each { |user, count| expect("accounts of #{user}", models(user)::Account.count, count) }
    expect('hidden columns', models('sam')::Employee.column_names & %w[salary bonus], [])
  },
  'own' => lambda {
    dumped = nil
    ACCOUNTS.each do |user, count|
      account = models(user)::Account
      grouped = account.joins(:region).group('regions.name').having('count(*) > 0').order('regions.name').count
      expect("accounts by region for #{user}", grouped.values.sum, count)
      sums = account.group(:region_id).pluck(:region_id, Arel.sql('sum(annual_revenue)'), Arel.sql('max(rating)'))
      expect("sums for #{user}", [sums.size, sums.all? { |_, revenue, _| revenue.is_a?(BigDecimal) }], [grouped.size, true])
      some = account.includes(:region, :contacts).where('accounts.rating > 2').order(:id).limit(20).to_a
      expect("preloaded for #{user}", some.map { |a| a.contacts.size >= 0 && a.region.name.is_a?(String) }.uniq, [true])
      eager = account.eager_load(:contacts).where(contacts: { newsletter: true }).order('accounts.id').limit(5).to_a
      expect("eager for #{user}", [eager.size, eager.all? { |a| a.contacts.any? }], [5, true])
      expect("exists for #{user}", [account.exists?(rating: 3), account.average(:rating).to_f.between?(1, 5), account.distinct.pluck(:rating).size > 3], [true, true, true])
      dumped = dump(user)
      expect("dumped tables of #{user}", dumped.scan(/^  create_table /).size, 21)
      expect("not dumped for #{user}", dumped.scan(/Could not dump table "(\w+)"/).flatten, [])
      expect("dumped keys of #{user}", dumped.scan(/^  add_foreign_key /).size > 10, true)
      expect("salary in the dump of #{user}", dumped.include?('"salary"'), user == 'ada')
    end
    "associations, eager loading, aggregates, a schema dump with #{dumped.scan(/^  add_foreign_key /).size} foreign keys, as two users"
  }
}.freeze

puts "client\tActiveRecord\t#{ActiveRecord::VERSION::STRING}"
%w[connect tables describe types parameters errors cancel transactions fetch policy own].each do |name|
  unless CHECKS[name]
    puts "#{name}\tn/a\t"
    next
  end
  outcome, note = begin
    result = CHECKS[name].call
    ['ok', result.is_a?(String) && result =~ / / ? result : '']
  rescue StandardError => error
    ['FAIL', "#{error.class}: #{error.message}"]
  end
  puts "#{name}\t#{outcome}\t#{note.gsub(/\s+/, ' ')[0, 1500]}"
end
